// Reads dispatches and events that are written plainly into what a row needs of them. Judges nothing: whatever is written otherwise, and
// whatever the stored bounds might refuse, is left to the full decoder by throwing NOT_PLAIN.

import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { RetryPolicySchema } from "../../../gen/mycel/v1/retry_policy_pb.ts";
import { DispatchSchema, TaskEventSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { TaskSchema, TaskWebhookSchema, TimeoutsSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { DEFAULT_START_TO_CLOSE_MS } from "../../../lib/core/limits.ts";
import { MAX_NAME_LENGTH, MAX_TASK_ID_LENGTH } from "../../../lib/core/names.ts";
import type { TaskTimeouts } from "../../../lib/core/task.ts";
import { NOT_PLAIN, PlainFields } from "./plain-fields.ts";
import type { DispatchFacts, EventFacts } from "./stored-facts.ts";

// Looked up once: behind each number stand three objects.
const DISPATCH = numbersOf(DispatchSchema.field);
const TASK = numbersOf(TaskSchema.field);
const TIMEOUTS = numbersOf(TimeoutsSchema.field);
const POLICY = numbersOf(RetryPolicySchema.field);
const WEBHOOK = numbersOf(TaskWebhookSchema.field);
const EVENT = numbersOf(TaskEventSchema.field);
const TIMESTAMP = numbersOf(TimestampSchema.field);
const DURATION = numbersOf(DurationSchema.field);
const ENTRY = { key: 1, value: 2 };

/** The task's field with the wire type of a message. A stored tag may take more bytes than it needs. */
const TASK_TAG = DISPATCH.task * 8 + 2;

// What the stored bounds allow: years that have a JSON form, durations of 10,000 years, nanoseconds of one second.
const LAST_SECOND = 253_402_300_799;
const MAX_DURATION_SECONDS = 315_576_000_000;
const MAX_NANOS = 999_999_999;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Span = readonly [start: number, end: number];

/** Reads a dispatch. Throws NOT_PLAIN. */
export function plainDispatch(body: Uint8Array): DispatchFacts {
  const facts: Mutable<DispatchFacts> = {
    type: "",
    queue: "",
    labels: {},
    redriveOf: "",
    createMs: undefined,
    startMs: undefined,
    resultTtlMs: undefined,
    timeouts: { scheduleToStartMs: undefined, startToCloseMs: DEFAULT_START_TO_CLOSE_MS, scheduleToCloseMs: undefined },
    kept: body,
  };
  const fields = new PlainFields(body, 0, body.length);
  let known = false;
  while (fields.next()) {
    if (fields.field === DISPATCH.task) {
      const task = fields.message(TASK.labels);
      const from = task.at;
      const input = readTask(task, facts);
      if (input !== undefined) facts.kept = withoutInput(body, [from, fields.at], input);
      known = true;
    } else if (fields.field === DISPATCH.attempt || fields.field === DISPATCH.beginRequired) fields.int32();
    else if (fields.field === DISPATCH.fence) fields.count();
    else if (fields.field === DISPATCH.requestDigest) fields.skipBytes();
    else throw NOT_PLAIN;
  }
  if (!known || facts.type === "") throw NOT_PLAIN;
  return facts;
}

/** Reads an event. Throws NOT_PLAIN. */
export function plainEvent(body: Uint8Array): EventFacts {
  const facts: Mutable<EventFacts> = {
    state: 0,
    attempt: 0,
    agentId: "",
    eventMs: undefined,
    attemptStartMs: undefined,
    nextAttemptMs: undefined,
    kept: body,
  };
  const fields = new PlainFields(body, 0, body.length);
  while (fields.next()) {
    const { field } = fields;
    if (field === EVENT.state) facts.state = fields.int32();
    else if (field === EVENT.attempt) facts.attempt = fields.int32();
    else if (field === EVENT.nextAttempt || field === EVENT.endedAttempt || field === EVENT.deliveries) fields.int32();
    else if (field === EVENT.agentId) facts.agentId = fields.text();
    else if (field === EVENT.eventTime) facts.eventMs = timestamp(fields.message());
    else if (field === EVENT.attemptStartTime) facts.attemptStartMs = timestamp(fields.message());
    else if (field === EVENT.nextAttemptTime) facts.nextAttemptMs = timestamp(fields.message());
    else if (field === EVENT.cancelReason || field === EVENT.endedAgentId || field === EVENT.operationId)
      fields.skipText();
    else if (field === EVENT.outputSequence || field === EVENT.dispatchSequence) fields.count();
    else if (field === EVENT.result) {
      const { start } = fields;
      fields.skipBytes();
      facts.kept = without(body, [start, fields.at]);
    } else throw NOT_PLAIN;
  }
  if (facts.state === 0) throw NOT_PLAIN;
  return facts;
}

/** Reads a task and says where its input stands, if it has one. */
function readTask(fields: PlainFields, facts: Mutable<DispatchFacts>): Span | undefined {
  let taskId = "";
  let input: Span | undefined;
  const labels: Record<string, string> = {};
  while (fields.next()) {
    const { field, start } = fields;
    if (field === TASK.taskId) taskId = fields.name(MAX_TASK_ID_LENGTH);
    else if (field === TASK.type) facts.type = fields.name(MAX_NAME_LENGTH);
    else if (field === TASK.queue) facts.queue = fields.name(MAX_NAME_LENGTH);
    else if (field === TASK.priority) fields.int32();
    else if (field === TASK.input) {
      fields.skipBytes();
      input = [start, fields.at];
    } else if (field === TASK.labels) readLabel(fields.message(), labels);
    else if (field === TASK.timeouts) facts.timeouts = timeouts(fields.message());
    else if (field === TASK.retryPolicy) skipPolicy(fields.message(POLICY.nonRetryableReasons));
    else if (field === TASK.resultTtl) facts.resultTtlMs = duration(fields.message());
    else if (field === TASK.createTime) facts.createMs = timestamp(fields.message());
    else if (field === TASK.startTime) facts.startMs = timestamp(fields.message());
    else if (field === TASK.redriveOf) facts.redriveOf = fields.text();
    else if (field === TASK.webhook) passWebhook(fields.message());
    else throw NOT_PLAIN;
  }
  if (taskId === "") throw NOT_PLAIN;
  facts.labels = labels;
  return input;
}

function passWebhook(fields: PlainFields): void {
  let endpointId = "";
  while (fields.next()) {
    if (fields.field === WEBHOOK.endpointId) endpointId = fields.name(MAX_NAME_LENGTH);
    else if (fields.field === WEBHOOK.allStates) fields.int32();
    else throw NOT_PLAIN;
  }
  if (endpointId === "") throw NOT_PLAIN;
}

function readLabel(fields: PlainFields, labels: Record<string, string>): void {
  let key = "";
  let value = "";
  while (fields.next()) {
    if (fields.field === ENTRY.key) key = fields.text();
    else if (fields.field === ENTRY.value) value = fields.text();
    else throw NOT_PLAIN;
  }
  if (key === "__proto__") throw NOT_PLAIN;
  labels[key] = value;
}

function timeouts(fields: PlainFields): TaskTimeouts {
  const found: Mutable<TaskTimeouts> = {
    scheduleToStartMs: undefined,
    startToCloseMs: DEFAULT_START_TO_CLOSE_MS,
    scheduleToCloseMs: undefined,
  };
  while (fields.next()) {
    const ms = duration(fields.message());
    if (fields.field === TIMEOUTS.scheduleToStart) found.scheduleToStartMs = ms;
    else if (fields.field === TIMEOUTS.startToClose) found.startToCloseMs = ms;
    else if (fields.field === TIMEOUTS.scheduleToClose) found.scheduleToCloseMs = ms;
    else if (fields.field !== TIMEOUTS.heartbeat) throw NOT_PLAIN;
  }
  return found;
}

function skipPolicy(fields: PlainFields): void {
  while (fields.next()) {
    if (fields.field === POLICY.maximumAttempts) fields.int32();
    else if (fields.field === POLICY.initialInterval || fields.field === POLICY.maximumInterval)
      duration(fields.message());
    else if (fields.field === POLICY.nonRetryableReasons) fields.skipText();
    else if (fields.field !== POLICY.backoffCoefficient || !(fields.double() >= 0)) throw NOT_PLAIN;
  }
}

function timestamp(fields: PlainFields): number {
  let seconds = 0;
  let nanos = 0;
  while (fields.next()) {
    if (fields.field === TIMESTAMP.seconds) seconds = fields.count();
    else if (fields.field === TIMESTAMP.nanos) nanos = fields.int32();
    else throw NOT_PLAIN;
  }
  if (seconds > LAST_SECOND || nanos > MAX_NANOS) throw NOT_PLAIN;
  return seconds * 1_000 + Math.trunc(nanos / 1_000_000);
}

function duration(fields: PlainFields): number {
  let seconds = 0;
  let nanos = 0;
  while (fields.next()) {
    if (fields.field === DURATION.seconds) seconds = fields.count();
    else if (fields.field === DURATION.nanos) nanos = fields.int32();
    else throw NOT_PLAIN;
  }
  if (seconds > MAX_DURATION_SECONDS || nanos > MAX_NANOS) throw NOT_PLAIN;
  return seconds * 1_000 + nanos / 1_000_000;
}

/** The dispatch without its task's input. The task is the dispatch's first field, and its length is written anew. */
function withoutInput(body: Uint8Array, [from, end]: Span, input: Span): Uint8Array {
  let length = end - from - (input[1] - input[0]);
  const head = [TASK_TAG];
  for (; length > 127; length >>>= 7) head.push((length & 127) | 128);
  head.push(length);
  const kept = new Uint8Array(head.length + body.length - from - (input[1] - input[0]));
  kept.set(head);
  kept.set(body.subarray(from, input[0]), head.length);
  kept.set(body.subarray(input[1]), head.length + input[0] - from);
  return kept;
}

function without(body: Uint8Array, [start, end]: Span): Uint8Array {
  const kept = new Uint8Array(body.length - (end - start));
  kept.set(body.subarray(0, start));
  kept.set(body.subarray(end), start);
  return kept;
}

function numbersOf<K extends string>(fields: Readonly<Record<K, { readonly number: number }>>): Record<K, number>;
function numbersOf(fields: Readonly<Record<string, { readonly number: number }>>): Record<string, number> {
  return Object.fromEntries(Object.entries(fields).map(([name, { number }]) => [name, number]));
}
