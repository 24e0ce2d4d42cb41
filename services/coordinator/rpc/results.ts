// StreamResults: what becomes of a task, as it happens.

import type { ServiceImpl } from "@connectrpc/connect";
import { type AgentService, ResultKind } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import type { StreamResults } from "../results/stream-results.ts";
import { scopeOf, tenantOf } from "./caller.ts";

/** What the RPC needs. */
export interface ResultRpcParts {
  readonly streamResults: StreamResults;
}

/** Implements StreamResults. */
export function resultRpcs({ streamResults }: ResultRpcParts): Pick<ServiceImpl<typeof AgentService>, "streamResults"> {
  return {
    streamResults({ taskId, cursor, kinds }, context) {
      const v = new Violations();
      v.taskId("task_id", taskId);
      addKindViolations(v, kinds);
      v.throwIfAny();
      return streamResults({
        tenant: tenantOf(context),
        scope: scopeOf(context, "task:read"),
        taskId,
        cursor,
        kinds,
        // Made when it is asked for: 700 bytes that a stream whose results are pushed does without.
        get signal() {
          return context.signal;
        },
      });
    },
  };
}

/** Adds what is wrong with the kinds that a caller asks for. */
export function addKindViolations(violations: Violations, kinds: readonly ResultKind[]): void {
  const known: readonly number[] = Object.values(ResultKind).filter((kind) => kind !== ResultKind.UNSPECIFIED);
  const at = kinds.findIndex((kind) => !known.includes(kind));
  if (at >= 0) violations.add(`kinds[${at}]`, `must be STATE, CHUNK, PROGRESS or LOG, is ${kinds[at]}`);
}
