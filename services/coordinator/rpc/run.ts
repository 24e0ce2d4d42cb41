// RunTask: submit and stream in one call.

import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AgentService,
  type RunTaskResponse,
  RunTaskResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import type { StreamResults } from "../results/stream-results.ts";
import type { Submitter } from "../submission/submitter.ts";
import { callerOf } from "./caller.ts";
import { addKindViolations } from "./results.ts";

/** What the RPC needs. */
export interface RunRpcParts {
  readonly submitter: Submitter;
  readonly streamResults: StreamResults;
}

/** Implements RunTask. */
export function runRpcs({ submitter, streamResults }: RunRpcParts): Pick<ServiceImpl<typeof AgentService>, "runTask"> {
  return {
    runTask: async function* runTask({ task, kinds }, context): AsyncGenerator<RunTaskResponse> {
      const v = new Violations();
      v.required("task", task);
      addKindViolations(v, kinds);
      if (task !== undefined) v.addAll(submitter.check(task, "task."));
      v.throwIfAny();
      if (task === undefined) return;
      const caller = callerOf(context);
      const submitted = await submitter.submit(caller, task);
      yield create(RunTaskResponseSchema, { kind: { case: "submitted", value: submitted } });
      const { taskId } = submitted;
      for await (const value of streamResults({
        tenant: caller.tenant,
        taskId,
        cursor: "",
        kinds,
        signal: context.signal,
      })) {
        yield create(RunTaskResponseSchema, { kind: { case: "result", value } });
      }
    },
  };
}
