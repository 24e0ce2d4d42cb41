// RunTask: submit and stream in one call.

import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AgentService,
  type RunTaskResponse,
  RunTaskResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { covers } from "../../../lib/core/access/task-scope.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import { actionNotAllowed } from "../access/refusals.ts";
import type { AdmitTasks } from "../limits/rate-limits.ts";
import type { ListenToNew } from "../results/stream-results.ts";
import type { Submitter } from "../submission/submitter.ts";
import { callerOf, scopeOf } from "./caller.ts";
import { addKindViolations } from "./results.ts";

/** What the RPC needs. */
export interface RunRpcParts {
  readonly submitter: Pick<Submitter, "check" | "idFor" | "place">;
  readonly listenToNew: ListenToNew;
  /** Bounds how fast callers submit; if undefined, nothing does. */
  readonly admitTasks?: AdmitTasks | undefined;
}

/** Implements RunTask. */
export function runRpcs({
  submitter,
  listenToNew,
  admitTasks,
}: RunRpcParts): Pick<ServiceImpl<typeof AgentService>, "runTask"> {
  return {
    runTask: async function* runTask({ task, kinds }, context): AsyncGenerator<RunTaskResponse> {
      const v = new Violations();
      v.required("task", task);
      addKindViolations(v, kinds);
      if (task !== undefined) v.addAll(submitter.check(task, "task."));
      v.throwIfAny();
      if (task === undefined) return;
      await admitTasks?.(context, 1);
      const caller = callerOf(context);
      task.taskId = submitter.idFor(caller, task);
      const scope = scopeOf(context, "task:read");
      // Whoever may not see what becomes of it may submit it otherwise.
      if (!covers(scope, task)) throw actionNotAllowed("task:read");
      // Listened to before it is stored, a task has no past that would have to be read: that took four round trips to the broker.
      using results = listenToNew({
        tenant: caller.tenant,
        taskId: task.taskId,
        scope,
        kinds,
        signal: context.signal,
      });
      const { answer, stored } = await submitter.place(caller, task);
      yield create(RunTaskResponseSchema, { kind: { case: "submitted", value: answer } });
      for await (const value of results.read(stored)) {
        yield create(RunTaskResponseSchema, { kind: { case: "result", value } });
      }
    },
  };
}
