// A mesh as the dashboard may find it, made up: every message that it shows, at a fixed time.
import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { AgentSchema, type Agent, AgentState } from "../../gen/mycel/v1/agent_pb.ts";
import { type DeadLetter, DeadLetterSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import { type Metrics, MetricsSchema, type TaskMetricsSchema } from "../../gen/mycel/v1/metrics_service_pb.ts";
import { type Queue, QueueSchema } from "../../gen/mycel/v1/queue_pb.ts";
import { FailureSource, Priority, type Task, TaskSchema, TaskState } from "../../gen/mycel/v1/task_pb.ts";
import { durationFromMs, timestampFromMs } from "../../lib/wire/time-codec.ts";

/** The time of the picture, in milliseconds since 1970. */
export const PICTURE_MS = 1_790_000_000_000;

/** Fields of a message, not a message: those of a message would take the place of all. */
type Fields<Shape, Desc extends DescMessage> = Exclude<MessageInitShape<Desc>, Shape>;

const at = (agoMs: number) => timestampFromMs(PICTURE_MS - agoMs);

/** An agent that was heard of so long ago. */
export function anAgent(agentId: string, fields: Fields<Agent, typeof AgentSchema> = {}, heardMs = 2_000): Agent {
  return create(AgentSchema, {
    agentId,
    name: "worker",
    version: "1.4.0",
    capabilities: [{ type: "resize-image" }, { type: "summarise", queue: "models" }],
    concurrency: 8,
    running: 3,
    state: AgentState.ACTIVE,
    registerTime: at(3_600_000),
    heartbeatTime: at(heardMs),
    ...fields,
  });
}

/** A queue with so many tasks waiting in each lane, highest priority first. */
export function aQueue(
  name: string,
  waiting: readonly [number, number, number, number],
  fields: Fields<Queue, typeof QueueSchema> = {},
): Queue {
  const priorities = [Priority.CRITICAL, Priority.HIGH, Priority.NORMAL, Priority.LOW];
  const total = waiting.reduce((sum, count) => sum + count, 0);
  return create(QueueSchema, {
    name,
    waitingCount: BigInt(total),
    inFlightCount: 5n,
    ...(total === 0 ? {} : { oldestCreateTime: at(95_000) }),
    agentCount: 2,
    agentIds: ["alpha", "beta"],
    slotCount: 16,
    runningCount: 6,
    rates: { addedPerSecond: 41.25, finishedPerSecond: 38.5, window: durationFromMs(10_000) },
    lanes: priorities.map((priority, lane) => ({
      priority,
      waitingCount: BigInt(waiting[lane] ?? 0),
      inFlightCount: 1n,
    })),
    asOfTime: at(0),
    ...fields,
  });
}

/** A task. */
export function aTask(taskId: string, fields: Fields<Task, typeof TaskSchema> = {}): Task {
  return create(TaskSchema, {
    taskId,
    type: "resize-image",
    queue: "resize-image",
    priority: Priority.NORMAL,
    input: { kind: { case: "json", value: { kind: { case: "stringValue", value: "cat.png" } } } },
    createTime: at(12_000),
    ...fields,
    status: {
      taskId,
      state: TaskState.WORKING,
      attempt: 1,
      maximumAttempts: 3,
      agentId: "alpha",
      createTime: at(12_000),
      updateTime: at(4_000),
      ...fields.status,
    },
  });
}

/** A task that failed for good so long ago. */
export function aFailure(taskId: string, agoMs: number, message: string, redrivenBy = ""): DeadLetter {
  const failure = { message, reason: "HANDLER_ERROR", source: FailureSource.AGENT, attempt: 3 };
  const status = { state: TaskState.FAILED, attempt: 3, endTime: at(agoMs), deadLetter: true, failure };
  return create(DeadLetterSchema, { task: aTask(taskId, { status }), redrivenBy });
}

function taskMetrics(scale: number): MessageInitShape<typeof TaskMetricsSchema> {
  const durations = (base: number) => ({
    count: 1_000n,
    p50: durationFromMs(base),
    p90: durationFromMs(base * 3),
    p95: durationFromMs(base * 5),
    p99: durationFromMs(base * 20),
    max: durationFromMs(base * 30),
  });
  return {
    submittedCount: BigInt(12_600 * scale),
    completedCount: BigInt(12_300 * scale),
    failedCount: BigInt(scale),
    timedOutCount: 1n,
    canceledCount: 2n,
    retryCount: 17n,
    successRate: 0.9987,
    submitRate: 42 * scale,
    endRate: 41 * scale,
    wait: durations(8),
    run: durations(130 * scale),
    total: durations(140 * scale),
  };
}

/** The metrics of two types and two agents. */
export function someMetrics(scale = 1): Metrics {
  return create(MetricsSchema, {
    asOfTime: at(0),
    startTime: at(300_000),
    total: taskMetrics(scale),
    types: [
      { type: "resize-image", metrics: taskMetrics(scale) },
      { type: "summarise", metrics: { ...taskMetrics(scale * 10), successRate: 0.91 } },
    ],
    agents: [
      { agentId: "alpha", metrics: taskMetrics(scale) },
      { agentId: "beta", metrics: { ...taskMetrics(scale), successRate: 0.9 } },
    ],
  });
}
