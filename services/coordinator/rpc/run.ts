// RunTask: submit and stream in one call.

import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AgentService,
  type RunTaskResponse,
  RunTaskResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { StreamResults } from "../results/stream-results.ts";
import type { Submitter } from "../submission/submitter.ts";
import { callerOf } from "./caller.ts";

/** What the RPC needs. */
export interface RunRpcParts {
  readonly submitter: Submitter;
  readonly streamResults: StreamResults;
}

/** Implements RunTask. */
export function runRpcs({ submitter, streamResults }: RunRpcParts): Pick<ServiceImpl<typeof AgentService>, "runTask"> {
  return {
    runTask: async function* runTask({ task, kinds }, context): AsyncGenerator<RunTaskResponse> {
      if (task === undefined) {
        const violations = [{ field: "task", description: "is required" }];
        throw new MeshError("INVALID_REQUEST", "task: is required", { violations });
      }
      const caller = callerOf(context);
      const submitted = await submitter.submit(caller, task);
      yield create(RunTaskResponseSchema, { kind: { case: "submitted", value: submitted } });
      const { taskId } = submitted;
      for await (const value of streamResults({ tenant: caller.tenant, taskId, cursor: "", kinds, signal: context.signal })) {
        yield create(RunTaskResponseSchema, { kind: { case: "result", value } });
      }
    },
  };
}
