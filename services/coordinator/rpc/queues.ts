// QueueService: who looks at queues, pauses, resumes and empties them.

import type { ServiceImpl } from "@connectrpc/connect";
import type {
  ListQueuesRequest,
  PauseQueueRequest,
  PurgeQueueRequest,
  QueueService,
} from "../../../gen/mycel/v1/queue_service_pb.ts";
import { Priority } from "../../../gen/mycel/v1/task_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { pausedAnew } from "../../../lib/core/queue-pause.ts";
import type { LanePauses } from "../../../lib/nats/lane-pauses.ts";
import type { QueueSettings } from "../../../lib/nats/queue-settings.ts";
import { stateToWire } from "../../../lib/wire/state-codec.ts";
import { isTimestamp, msFromDuration, msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import type { QueueBoard } from "../queues/queue-board.ts";
import { type PurgeOrder, purgeQueue, type QueuePurgeParts, WAITING_STATES } from "../queues/queue-purge.ts";
import { scopeOf, tenantOf } from "./caller.ts";

/** What the RPCs need. */
export interface QueueRpcParts {
  readonly board: QueueBoard;
  readonly settings: Pick<QueueSettings, "change">;
  readonly pauses: Pick<LanePauses, "settle">;
  readonly index: QueuePurgeParts["index"];
  readonly lifecycle: QueuePurgeParts["lifecycle"];
  readonly clock: Clock;
}

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;
const MAX_PAUSE_REASON_LENGTH = 1_024;
const MIN_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30 * 86_400_000;
const MAX_PURGE_TYPES = 64;
const MAX_PURGE_REASON_LENGTH = 512;
const DEFAULT_PURGE_LIMIT = 10_000;
const MAX_PURGE_LIMIT = 100_000;

const PRIORITIES: readonly Priority[] = [Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.CRITICAL];

/** Implements QueueService. */
export function queueRpcs(parts: QueueRpcParts): ServiceImpl<typeof QueueService> {
  const { board, settings, pauses, clock } = parts;
  /** Brings about what was set, and shows the queue as it is then. */
  const settled = async (tenant: string, queue: string) => {
    await pauses.settle(tenant, queue);
    return { queue: await board.getNow(tenant, queue) };
  };
  return {
    listQueues: async (request, context) => {
      const pageSize = pageSizeIn(request);
      return await board.list(tenantOf(context), request.pageToken, pageSize);
    },
    getQueue: async ({ queue }, context) => {
      queueIn(new Violations(), queue).throwIfAny();
      return { queue: await board.get(tenantOf(context), queue) };
    },
    pauseQueue: async (request, context) => {
      const { queue, reason } = request;
      const untilMs = endIn(request, clock.now());
      const tenant = tenantOf(context);
      await board.get(tenant, queue);
      await settings.change(tenant, queue, (standing) => pausedAnew(standing, { untilMs, reason }, clock.now()));
      return await settled(tenant, queue);
    },
    resumeQueue: async ({ queue }, context) => {
      queueIn(new Violations(), queue).throwIfAny();
      const tenant = tenantOf(context);
      await board.get(tenant, queue);
      await settings.change(tenant, queue, () => undefined);
      return await settled(tenant, queue);
    },
    purgeQueue: async (request, context) => {
      const tenant = tenantOf(context);
      const scope = scopeOf(context, "queue:admin");
      const order = { ...orderIn(request), tenant, scope, signal: context.signal };
      await board.get(tenant, order.queue);
      const { purged, remaining } = await purgeQueue(parts, order);
      return { purgedCount: BigInt(purged), remainingCount: BigInt(remaining) };
    },
  };
}

function queueIn(v: Violations, queue: string): Violations {
  v.name("queue", queue);
  v.notSystemQueue("queue", queue);
  return v;
}

function pageSizeIn({ pageSize, pageToken }: ListQueuesRequest): number {
  const v = new Violations();
  if (pageSize < 0) v.add("page_size", `must be from 0 to ${MAX_PAGE_SIZE}, is ${pageSize}`);
  v.optionalName("page_token", pageToken);
  v.throwIfAny();
  return Math.min(pageSize || DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
}

/** When the pause that is asked for ends, in milliseconds since 1970; undefined for one without an end. */
function endIn({ queue, reason, end }: PauseQueueRequest, nowMs: number): number | undefined {
  const v = queueIn(new Violations(), queue);
  v.text("reason", reason, MAX_PAUSE_REASON_LENGTH);
  if (end.case === "duration") v.duration("duration", end.value, MIN_PAUSE_MS, MAX_PAUSE_MS);
  if (end.case === "untilTime") {
    v.timestamp("until_time", end.value);
    if (isTimestamp(end.value) && msFromTimestamp(end.value) > nowMs + MAX_PAUSE_MS) {
      v.add("until_time", "must be at most 30 days from now");
    }
  }
  v.throwIfAny();
  if (end.case === "untilTime") return msFromTimestamp(end.value);
  return end.case === "duration" ? nowMs + msFromDuration(end.value) : undefined;
}

function orderIn(request: PurgeQueueRequest): Omit<PurgeOrder, "tenant" | "scope" | "signal"> {
  const { queue, types, priorities, states, reason, limit } = request;
  const v = queueIn(new Violations(), queue);
  v.count("types", types.length, 0, MAX_PURGE_TYPES);
  for (const [i, type] of types.slice(0, MAX_PURGE_TYPES).entries()) v.name(`types[${i}]`, type);
  v.count("priorities", priorities.length, 0, PRIORITIES.length);
  for (const [i, priority] of priorities.slice(0, PRIORITIES.length).entries()) {
    if (!PRIORITIES.includes(priority)) v.add(`priorities[${i}]`, `${priority} is not a priority of a task`);
  }
  v.count("states", states.length, 0, WAITING_STATES.length);
  for (const [i, state] of states.slice(0, WAITING_STATES.length).entries()) {
    const waits = WAITING_STATES.some((word) => stateToWire(word) === state);
    if (!waits) v.add(`states[${i}]`, "may be SUBMITTED, SCHEDULED and BACKING_OFF only");
  }
  v.text("reason", reason, MAX_PURGE_REASON_LENGTH);
  v.number("limit", limit, 1, MAX_PURGE_LIMIT);
  v.throwIfAny();
  const wanted = WAITING_STATES.filter((word) => states.length === 0 || states.includes(stateToWire(word)));
  return { queue, types, priorities, states: wanted, reason, limit: limit || DEFAULT_PURGE_LIMIT };
}
