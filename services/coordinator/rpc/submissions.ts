// The RPCs that hand in work.

import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type AgentService, SubmitTaskRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { MAX_REQUEST_ID_LENGTH } from "../../../lib/core/limits.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { stateOf } from "../../../lib/core/task.ts";
import { isDeadLetter } from "../../../lib/core/task-state.ts";
import { taskOf, viewOf } from "../../../lib/wire/task-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import type { BulkSubmitter } from "../submission/bulk.ts";
import { submitStream } from "../submission/stream.ts";
import type { Submitter } from "../submission/submitter.ts";
import type { AdmitTasks } from "../limits/rate-limits.ts";
import type { Lifecycle } from "../tasks/lifecycle.ts";
import { callerOf, scopeOf, tenantOf } from "./caller.ts";

type SubmissionRpcs = Pick<
  ServiceImpl<typeof AgentService>,
  "submitTask" | "batchSubmitTasks" | "submitTaskStream" | "retryTask"
>;

/** What the RPCs need. */
export interface SubmissionRpcParts {
  readonly submitter: Submitter;
  readonly bulk: BulkSubmitter;
  readonly lifecycle: Lifecycle;
  /** Bounds how fast callers submit; if undefined, nothing does. */
  readonly admitTasks?: AdmitTasks | undefined;
}

/** Implements the RPCs that hand in work. */
export function submissionRpcs({ submitter, bulk, lifecycle, admitTasks }: SubmissionRpcParts): SubmissionRpcs {
  const rpcs = rpcsOf({ submitter, bulk, lifecycle });
  return admitTasks === undefined ? rpcs : admitted(rpcs, { submitter, admitTasks });
}

/** The same, none of them sooner than its tasks are admitted. */
function admitted(
  rpcs: SubmissionRpcs,
  { submitter, admitTasks }: { readonly submitter: Submitter; readonly admitTasks: AdmitTasks },
): SubmissionRpcs {
  return {
    submitTask: async (request, context) => {
      await admitTasks(context, 1);
      return await rpcs.submitTask(request, context);
    },
    batchSubmitTasks: async (request, context) => {
      await admitTasks(context, request.tasks.length);
      return await rpcs.batchSubmitTasks(request, context);
    },
    submitTaskStream: (requests, context) => {
      const submit: Submitter["submit"] = async (caller, request) => {
        await admitTasks(context, 1);
        return await submitter.submit(caller, request);
      };
      return submitStream({ submit }, callerOf(context), requests);
    },
    retryTask: async (request, context) => {
      await admitTasks(context, 1);
      return await rpcs.retryTask(request, context);
    },
  };
}

function rpcsOf({ submitter, bulk, lifecycle }: Omit<SubmissionRpcParts, "admitTasks">): SubmissionRpcs {
  return {
    submitTask: (request, context) => submitter.submit(callerOf(context), request),
    batchSubmitTasks: (request, context) => bulk.submit(callerOf(context), request),
    submitTaskStream: (requests, context) => submitStream(submitter, callerOf(context), requests),
    retryTask: async ({ taskId, requestId }, context) => {
      const v = new Violations();
      v.taskId("task_id", taskId);
      v.text("request_id", requestId, MAX_REQUEST_ID_LENGTH);
      v.throwIfAny();
      const tenant = tenantOf(context);
      const dead = await lifecycle.readCurrent(tenant, taskId, scopeOf(context, "task:submit"));
      const state = stateOf(viewOf(dead));
      const { task } = dead.dispatch.message;
      if (!isDeadLetter(state) || task === undefined) {
        throw new MeshError(
          "TASK_NOT_DEAD",
          `task ${taskId} is ${state}; only failed and timed_out tasks can be redriven`,
          {
            resource: { type: "mycel.v1.Task", name: taskId },
            metadata: { state },
          },
        );
      }
      // The start time is over, and the definition as stored is complete: the redrive asks for the same again, now.
      const request = create(SubmitTaskRequestSchema, {
        taskId: redriveId(tenant, taskId, requestId),
        type: task.type,
        queue: task.queue,
        priority: task.priority,
        labels: task.labels,
        ...(task.input === undefined ? {} : { input: task.input }),
        ...(task.timeouts === undefined ? {} : { timeouts: task.timeouts }),
        ...(task.retryPolicy === undefined ? {} : { retryPolicy: task.retryPolicy }),
        ...(task.resultTtl === undefined ? {} : { resultTtl: task.resultTtl }),
        ...(task.webhook === undefined ? {} : { webhook: task.webhook }),
      });
      const { taskId: newId, existing } = await submitter.submit(callerOf(context), request, taskId);
      return { task: taskOf(await lifecycle.readCurrent(tenant, newId), false), existing };
    },
  };
}

function redriveId(tenant: string, taskId: string, requestId: string): string {
  return `d-${createHash("sha256").update(`${tenant}\0${taskId}\0${requestId}`).digest("base64url").slice(0, 22)}`;
}
