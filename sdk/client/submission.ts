// Turns what a caller says about a task into a SubmitTaskRequest. Pure but for the request id that it makes up.
// Checks only what has no form on the wire; the bounds are the server's to check, all at once.
import { randomUUID } from "node:crypto";
import { type MessageInitShape, create } from "@bufbuild/protobuf";
import { type SubmitTaskRequest, SubmitTaskRequestSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { Payload } from "../../gen/mycel/v1/payload_pb.ts";
import { Priority } from "../../gen/mycel/v1/task_pb.ts";
import { durationFromMs, timestampFromMs } from "../../lib/wire/time-codec.ts";
import { invalidOption } from "./mycel-error.ts";

/** Who goes first when work is waiting. */
export type PriorityName = "low" | "normal" | "high" | "critical";

/** When and how often a failed attempt is followed by another. What is unset is the mesh's default. */
export interface RetryOptions {
  /** How many attempts a task may have in all. From 1 to 100; default 3. */
  readonly maximumAttempts?: number;
  /** The wait after the first failed attempt, in milliseconds. From 0 to 24 hours; default 5 seconds. */
  readonly initialIntervalMs?: number;
  /** The factor by which the wait grows. From 1 to 10; default 2. */
  readonly backoffCoefficient?: number;
  /** The longest wait, in milliseconds. Up to 24 hours; default 5 minutes. */
  readonly maximumIntervalMs?: number;
  /** Failure reasons that end the task at once. At most 32. */
  readonly nonRetryableReasons?: readonly string[];
}

/** Options of one task. What is unset is the mesh's default. */
export interface TaskOptions {
  /** Names the task. 1 to 100 characters of `A-Z a-z 0-9 _ -`. Default: made by the mesh. */
  readonly taskId?: string;
  /** The same value gives the same task. At most 256 characters. Default: made up, so that a retry cannot submit twice. */
  readonly requestId?: string;
  /** Who goes first. Default `normal`. */
  readonly priority?: PriorityName;
  /** The queue to wait in. Default: the type. */
  readonly queue?: string;
  /** Labels, for lists and counts. At most 32. */
  readonly labels?: Readonly<Record<string, string>>;
  /** From the submission until a first attempt starts, in milliseconds. 1 second to 6 days; default: no limit. */
  readonly scheduleToStartMs?: number;
  /** One attempt, in milliseconds. From 10 to 24 hours; default 30,000. */
  readonly startToCloseMs?: number;
  /** The whole task over all attempts, in milliseconds. 1 second to 6 days; default: no limit. */
  readonly scheduleToCloseMs?: number;
  /** The longest silence of a handler that reports with heartbeats, in milliseconds. 1 second to 1 hour; default: not required. */
  readonly heartbeatMs?: number;
  /** The retry policy. */
  readonly retry?: RetryOptions;
  /** Not before this long from now, in milliseconds. Up to 6 days. Not together with `startTime`. */
  readonly delayMs?: number;
  /** Not before this time, at most 6 days from now. Not together with `delayMs`. */
  readonly startTime?: Date;
  /** How long the task is kept after its end, in milliseconds. 1 second to 6 days; default 24 hours. */
  readonly resultTtlMs?: number;
  /** Where the task's end is delivered: a webhook endpoint, made with `client.webhooks` or `mycel webhooks create`. Default: nowhere. */
  readonly webhook?: WebhookOptions;
}

/** Has the states of a task delivered to a webhook endpoint. */
export interface WebhookOptions {
  /** The endpoint. It must be there when the task is submitted. */
  readonly endpointId: string;
  /** Each event of the task's state chain instead of its end alone. Default false. */
  readonly allStates?: boolean;
}

/** One task to submit. */
export interface TaskSubmission extends TaskOptions {
  /** The kind of work: a capability of some agent. 1 to 64 characters of `A-Z a-z 0-9 _ -`. */
  readonly type: string;
  /** What the handler gets: any JSON value, bytes, or a Payload message. More than 256 KiB is uploaded as a blob. */
  readonly input?: unknown;
}

const PRIORITIES: Readonly<Record<PriorityName, Priority>> = {
  low: Priority.LOW,
  normal: Priority.NORMAL,
  high: Priority.HIGH,
  critical: Priority.CRITICAL,
};

/** What a text's head, one of its characters, and everything that is no text take at most. */
const FIELD_BYTES = 6;
const UTF8_BYTES = 3;
const NUMBERS_BYTES = 300;

/** Builds the request. Without an id of the caller's, one is made up. */
export function submissionOf(task: TaskSubmission, input: Payload | undefined): SubmitTaskRequest {
  const { taskId = "" } = task;
  // An empty one is none, as on the wire: a retry could submit twice.
  const requestId = task.requestId || (taskId === "" ? randomUUID() : "");
  if (task.type === "") throw invalidOption("type", "must not be empty");
  const init: MessageInitShape<typeof SubmitTaskRequestSchema> = { taskId, requestId, type: task.type };
  if (input !== undefined) init.input = input;
  if (task.priority !== undefined) init.priority = priorityOf(task.priority);
  if (task.queue !== undefined) init.queue = task.queue;
  if (task.labels !== undefined) init.labels = { ...task.labels };
  const timeouts = timeoutsOf(task);
  if (timeouts !== undefined) init.timeouts = timeouts;
  if (task.retry !== undefined) init.retryPolicy = policyOf(task.retry);
  if (task.resultTtlMs !== undefined) init.resultTtl = duration("resultTtlMs", task.resultTtlMs);
  if (task.webhook !== undefined) init.webhook = { ...task.webhook };
  if (task.delayMs !== undefined && task.startTime !== undefined)
    throw invalidOption("delayMs", "and startTime exclude each other");
  if (task.delayMs !== undefined) init.start = { case: "delay", value: duration("delayMs", task.delayMs) };
  if (task.startTime !== undefined) init.start = { case: "startTime", value: timestamp("startTime", task.startTime) };
  return create(SubmitTaskRequestSchema, init);
}

/** How many bytes a submission has beside its input, at most. */
export function mostBytesBeside(task: SubmitTaskRequest): number {
  const { taskId, requestId, type, queue, labels, retryPolicy, webhook } = task;
  let texts = taskId.length + requestId.length + type.length + queue.length + (webhook?.endpointId.length ?? 0);
  let count = 6;
  for (const [key, value] of Object.entries(labels)) {
    texts += key.length + value.length;
    count += 3;
  }
  for (const reason of retryPolicy?.nonRetryableReasons ?? []) {
    texts += reason.length;
    count += 1;
  }
  return NUMBERS_BYTES + count * FIELD_BYTES + texts * UTF8_BYTES;
}

/** A Protobuf timestamp. Throws a MycelError for an invalid date. */
export function timestamp(name: string, date: Date): ReturnType<typeof timestampFromMs> {
  if (Number.isNaN(date.getTime())) throw invalidOption(name, "must be a valid date");
  return timestampFromMs(date.getTime());
}

function priorityOf(name: PriorityName): Priority {
  const priority: Priority | undefined = PRIORITIES[name];
  if (priority === undefined) {
    throw invalidOption(
      "priority",
      `must be one of ${Object.keys(PRIORITIES).join(", ")}, got ${JSON.stringify(name)}`,
    );
  }
  return priority;
}

function timeoutsOf(task: TaskOptions): Timeouts | undefined {
  const { scheduleToStartMs, startToCloseMs, scheduleToCloseMs, heartbeatMs } = task;
  const timeouts: Timeouts = {};
  if (scheduleToStartMs !== undefined) timeouts.scheduleToStart = duration("scheduleToStartMs", scheduleToStartMs);
  if (startToCloseMs !== undefined) timeouts.startToClose = duration("startToCloseMs", startToCloseMs);
  if (scheduleToCloseMs !== undefined) timeouts.scheduleToClose = duration("scheduleToCloseMs", scheduleToCloseMs);
  if (heartbeatMs !== undefined) timeouts.heartbeat = duration("heartbeatMs", heartbeatMs);
  return Object.keys(timeouts).length === 0 ? undefined : timeouts;
}

type Timeouts = NonNullable<MessageInitShape<typeof SubmitTaskRequestSchema>["timeouts"]>;
type Policy = NonNullable<MessageInitShape<typeof SubmitTaskRequestSchema>["retryPolicy"]>;

function policyOf(retry: RetryOptions): Policy {
  const policy: Policy = {};
  if (retry.maximumAttempts !== undefined)
    policy.maximumAttempts = whole("retry.maximumAttempts", retry.maximumAttempts);
  if (retry.initialIntervalMs !== undefined) {
    policy.initialInterval = duration("retry.initialIntervalMs", retry.initialIntervalMs);
  }
  if (retry.backoffCoefficient !== undefined) policy.backoffCoefficient = retry.backoffCoefficient;
  if (retry.maximumIntervalMs !== undefined) {
    policy.maximumInterval = duration("retry.maximumIntervalMs", retry.maximumIntervalMs);
  }
  if (retry.nonRetryableReasons !== undefined) policy.nonRetryableReasons = [...retry.nonRetryableReasons];
  return policy;
}

function duration(name: string, ms: number): ReturnType<typeof durationFromMs> {
  if (!Number.isFinite(ms) || ms < 0)
    throw invalidOption(name, `must be a number of milliseconds of at least 0, got ${ms}`);
  return durationFromMs(ms);
}

function whole(name: string, value: number): number {
  if (!Number.isInteger(value)) throw invalidOption(name, `must be a whole number, got ${value}`);
  return value;
}
