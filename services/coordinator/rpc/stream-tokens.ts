// IssueStreamToken: a token that reads one task, or one group of tasks, and nothing else.

import type { ServiceImpl } from "@connectrpc/connect";
import type { AgentService, IssueStreamTokenRequest } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { MAX_LABEL_KEY_LENGTH, MAX_LABEL_VALUE_LENGTH } from "../../../lib/core/limits.ts";
import { msFromDuration, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import type { SharedTasks, StreamTokenDesk } from "../access/stream-token/stream-token-desk.ts";
import { MAX_STREAM_TOKEN_MS } from "../access/stream-token/stream-secrets.ts";
import { principalOf } from "./caller.ts";

/** What the RPC needs. */
export interface StreamTokenRpcParts {
  readonly desk: StreamTokenDesk;
}

const MIN_LIFETIME_MS = 1_000;
const DEFAULT_LIFETIME_MS = 600_000;

/** Implements IssueStreamToken. */
export function streamTokenRpcs({
  desk,
}: StreamTokenRpcParts): Pick<ServiceImpl<typeof AgentService>, "issueStreamToken"> {
  return {
    issueStreamToken: async (request, context) => {
      const tasks = tasksIn(request);
      const lifetimeMs = msFromDuration(request.lifetime) ?? DEFAULT_LIFETIME_MS;
      const { token, expiresMs } = await desk.issue(principalOf(context), tasks, lifetimeMs);
      return { token, expireTime: timestampFromMs(expiresMs) };
    },
  };
}

function tasksIn({ scope, lifetime }: IssueStreamTokenRequest): SharedTasks {
  const v = new Violations();
  v.duration("lifetime", lifetime, MIN_LIFETIME_MS, MAX_STREAM_TOKEN_MS);
  if (scope.case === "group") {
    v.text("group.label", scope.value.label, MAX_LABEL_KEY_LENGTH, 1);
    v.text("group.value", scope.value.value, MAX_LABEL_VALUE_LENGTH);
    v.throwIfAny();
    return { kind: "group", label: scope.value.label, value: scope.value.value };
  }
  const taskId = scope.value ?? "";
  v.taskId("task_id", taskId);
  v.throwIfAny();
  return { kind: "task", taskId };
}
