// The RPCs about one task: how far it is and why, what it holds, and its cancellation.

import type { ServiceImpl } from "@connectrpc/connect";
import type { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { MAX_STATUS_WAIT_MS } from "../../../lib/core/limits.ts";
import { statusOf, taskOf } from "../../../lib/wire/task-codec.ts";
import { msFromDuration } from "../../../lib/wire/time-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import type { ExplainTask } from "../tasks/explainer.ts";
import type { Lifecycle } from "../tasks/lifecycle.ts";
import { scopeOf, tenantOf } from "./caller.ts";
import { answerOf } from "../results/status-wait.ts";
import type { WaitForStatus } from "../results/stream-results.ts";

type TaskRpcs = Pick<ServiceImpl<typeof AgentService>, "getTaskStatus" | "getTask" | "explainTask" | "cancelTask">;

/** What the RPCs need. */
export interface TaskRpcParts {
  readonly lifecycle: Lifecycle;
  readonly waitForStatus: WaitForStatus;
  readonly explainTask: ExplainTask;
}

/** Implements the RPCs about one task. */
export function taskRpcs({ lifecycle, waitForStatus, explainTask }: TaskRpcParts): TaskRpcs {
  return {
    getTaskStatus: async ({ taskId, wait, afterRevision, includeResult }, context) => {
      const v = new Violations();
      v.taskId("task_id", taskId);
      v.duration("wait", wait, 0, MAX_STATUS_WAIT_MS);
      v.throwIfAny();
      const tenant = tenantOf(context);
      const waitMs = msFromDuration(wait) ?? 0;
      const scope = scopeOf(context, "task:read");
      const { status, result } =
        waitMs === 0
          ? answerOf(await lifecycle.readCurrent(tenant, taskId, scope))
          : await waitForStatus({ tenant, taskId, scope, waitMs, afterRevision, signal: context.signal });
      return includeResult && result !== undefined ? { status, result } : { status };
    },
    getTask: async ({ taskId }, context) => {
      const v = new Violations();
      v.taskId("task_id", taskId);
      v.throwIfAny();
      const scope = scopeOf(context, "task:read");
      return { task: taskOf(await lifecycle.readCurrent(tenantOf(context), taskId, scope), true) };
    },
    explainTask: async ({ taskId }, context) => {
      const v = new Violations();
      v.taskId("task_id", taskId);
      v.throwIfAny();
      return { explanation: await explainTask(tenantOf(context), taskId, scopeOf(context, "task:read")) };
    },
    cancelTask: async ({ taskId, reason }, context) => {
      const v = new Violations();
      v.taskId("task_id", taskId);
      v.text("reason", reason, 1_024);
      v.throwIfAny();
      const scope = scopeOf(context, "task:cancel");
      const record = await lifecycle.cancel(tenantOf(context), taskId, reason, scope);
      return { status: statusOf(record, record.event) };
    },
  };
}
