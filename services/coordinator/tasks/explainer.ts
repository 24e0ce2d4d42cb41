// Gathers what an explanation of a task is made from: the log, the lane's consumers, who is registered, how the queue is set, and, of a
// dead letter, the index. Asks each only where it can matter.

import { create } from "@bufbuild/protobuf";
import { type Agent, AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import { ListDeadLettersRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { type TaskExplanation, TaskExplanationSchema } from "../../../gen/mycel/v1/task_explanation_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { explain, type ExplainAgent, type ExplainFacts, type ExplainLane } from "../../../lib/core/explain.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { QueuePause } from "../../../lib/core/queue-pause.ts";
import { stateOf } from "../../../lib/core/task.ts";
import { isDeadLetter } from "../../../lib/core/task-state.ts";
import type { LaneStates } from "../../../lib/nats/lane-states.ts";
import type { Registry } from "../../../lib/nats/registry.ts";
import { deadlineToWire, reasonToWire } from "../../../lib/wire/explanation-codec.ts";
import { priorityToWire } from "../../../lib/wire/state-codec.ts";
import { statusOf, type TaskRecord, viewOf } from "../../../lib/wire/task-codec.ts";
import { msFromTimestamp, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import type { TaskIndex } from "../index/task-index.ts";
import type { Lifecycle } from "./lifecycle.ts";

/** What explaining needs. */
export interface ExplainerParts {
  readonly lifecycle: Pick<Lifecycle, "readCurrent">;
  readonly states: Pick<LaneStates, "of" | "ahead">;
  readonly settings: { pauseOf(tenant: string, queue: string): QueuePause | undefined };
  readonly registry: Pick<Registry, "list">;
  readonly index: Pick<TaskIndex, "listDeadLetters">;
  readonly clock: Clock;
  /** How long a delivery is its agent's without a sign of life, in milliseconds. */
  readonly leaseMs: number;
}

/** Explains a task. */
export type ExplainTask = (tenant: string, taskId: string, scope?: TaskScope) => Promise<TaskExplanation>;

/** How many tasks that were accepted in the same millisecond are looked through for one. */
const SAME_MOMENT = 1_000;

/** Makes the one that explains; it throws TASK_NOT_FOUND, also of a task outside of the scope, and BROKER_UNAVAILABLE. */
export function createExplainer(parts: ExplainerParts): ExplainTask {
  return async (tenant, taskId, scope) => {
    const { lifecycle, settings, registry, clock, leaseMs } = parts;
    const record = await lifecycle.readCurrent(tenant, taskId, scope);
    const { task } = record.dispatch.message;
    const status = statusOf(record, record.event);
    const [type, queue] = [task?.type ?? "", task?.queue ?? ""];
    const facts: ExplainFacts = {
      view: viewOf(record),
      type,
      queue,
      agents: registry.list(tenant).map(agentFacts),
      pause: settings.pauseOf(tenant, queue),
      lane: await laneFacts(parts, record),
      eventMs: msFromTimestamp(record.event?.message.eventTime),
      failure: status.failure,
      cancelReason: status.cancelReason,
      redrivenBy: await redrivenBy(parts, record),
      leaseMs,
      nowMs: clock.now(),
    };
    const { reasons, deadline } = explain(facts);
    return create(TaskExplanationSchema, {
      status,
      queue,
      priority: priorityToWire(record.dispatch.priority),
      reasons: reasons.map((reason) => reasonToWire(reason, status.failure)),
      ...(deadline === undefined ? {} : { nextDeadline: deadlineToWire(deadline) }),
      asOfTime: timestampFromMs(facts.nowMs),
    });
  };
}

function agentFacts({ agentId, concurrency, running, state, capabilities }: Agent): ExplainAgent {
  return { agentId, concurrency, running, draining: state === AgentState.DRAINING, capabilities };
}

/** What stands before a task that waits for an agent; undefined for any other. */
async function laneFacts({ states }: ExplainerParts, record: TaskRecord): Promise<ExplainLane | undefined> {
  const { tenant, dispatch } = record;
  if (stateOf(viewOf(record)) !== "submitted") return undefined;
  const lanes = await states.of(tenant, dispatch.queue);
  const lane = lanes.find(({ priority }) => priority === dispatch.priority);
  if (lane === undefined) return undefined;
  return {
    deliveredSequence: lane.deliveredSequence,
    before: await states.ahead(lane, dispatch.sequence),
    higher: lanes.reduce((sum, { priority, waiting }) => sum + (priority > lane.priority ? waiting : 0), 0),
  };
}

/** Which task redrove a dead letter last, as far as the index knows by now; empty if none, or if nobody serves the index. */
async function redrivenBy({ index }: ExplainerParts, record: TaskRecord): Promise<string> {
  const createTime = record.dispatch.message.task?.createTime;
  if (!isDeadLetter(stateOf(viewOf(record))) || createTime === undefined) return "";
  const filter = {
    createTimeFrom: createTime,
    createTimeUntil: timestampFromMs(msFromTimestamp(createTime) + 1),
  };
  const request = create(ListDeadLettersRequestSchema, { filter, pageSize: SAME_MOMENT, includeRedriven: true });
  try {
    const { deadLetters } = await index.listDeadLetters(record.tenant, request);
    return deadLetters.find(({ task }) => task?.taskId === record.taskId)?.redrivenBy ?? "";
  } catch (error) {
    if (error instanceof MeshError && error.reason === "INDEX_UNAVAILABLE") return "";
    throw error;
  }
}
