// A submission: checked, defaults filled in, named, and made recognisable when it comes again.

import { createHash, hash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type SubmitTaskRequest, SubmitTaskRequestSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import { Priority, type Task, type Timeouts } from "../../gen/mycel/v1/task_pb.ts";
import {
  DEFAULT_RESULT_TTL_MS,
  DEFAULT_START_TO_CLOSE_MS,
  MAX_ATTEMPTS,
  MAX_BACKOFF_COEFFICIENT,
  MAX_HEARTBEAT_TIMEOUT_MS,
  MAX_NON_RETRYABLE_REASONS,
  MAX_REASON_LENGTH,
  MAX_REQUEST_ID_LENGTH,
  MAX_RETRY_INTERVAL_MS,
} from "../core/limits.ts";
import { MAX_TASK_ID_LENGTH } from "../core/names.ts";
import { DEFAULT_RETRY_POLICY } from "../core/retry-policy.ts";
import { encodeAround } from "./large-payload.ts";
import { durationFromMs, msFromDuration, msFromTimestamp, timestampFromMs } from "./time-codec.ts";
import { Violations } from "./validation.ts";

/** The bounds that an operator can set. */
export interface SubmissionLimits {
  /** The longest start_to_close. */
  readonly maxStartToCloseMs: number;
  /** The longest delay, deadline and result_ttl. */
  readonly maxWaitMs: number;
}

/** Checks a submission and returns what is wrong with it. `prefix` stands before each field path. */
export function checkSubmission(
  request: SubmitTaskRequest,
  limits: SubmissionLimits,
  nowMs: number,
  prefix = "",
): Violations {
  const v = new Violations(prefix);
  v.optionalName("task_id", request.taskId, MAX_TASK_ID_LENGTH);
  v.text("request_id", request.requestId, MAX_REQUEST_ID_LENGTH);
  v.name("type", request.type);
  v.queue("queue", request.queue);
  if (request.queue === "") v.notSystemQueue("type", request.type);
  v.oneOf("priority", request.priority, Priority);
  v.labels("labels", request.labels);
  v.payload("input", request.input);
  const { timeouts, retryPolicy } = request;
  if (timeouts !== undefined) {
    v.duration("timeouts.schedule_to_start", timeouts.scheduleToStart, 1_000, limits.maxWaitMs);
    v.duration("timeouts.start_to_close", timeouts.startToClose, 10, limits.maxStartToCloseMs);
    v.duration("timeouts.schedule_to_close", timeouts.scheduleToClose, 1_000, limits.maxWaitMs);
    v.duration("timeouts.heartbeat", timeouts.heartbeat, 1_000, MAX_HEARTBEAT_TIMEOUT_MS);
  }
  if (retryPolicy !== undefined) {
    v.number("retry_policy.maximum_attempts", retryPolicy.maximumAttempts, 1, MAX_ATTEMPTS);
    v.number("retry_policy.backoff_coefficient", retryPolicy.backoffCoefficient, 1, MAX_BACKOFF_COEFFICIENT);
    v.duration("retry_policy.initial_interval", retryPolicy.initialInterval, 0, MAX_RETRY_INTERVAL_MS);
    const initialMs = msFromDuration(retryPolicy.initialInterval) ?? 0;
    v.duration("retry_policy.maximum_interval", retryPolicy.maximumInterval, initialMs, MAX_RETRY_INTERVAL_MS);
    v.count("retry_policy.non_retryable_reasons", retryPolicy.nonRetryableReasons.length, 0, MAX_NON_RETRYABLE_REASONS);
    retryPolicy.nonRetryableReasons.slice(0, MAX_NON_RETRYABLE_REASONS).forEach((reason, i) => {
      v.text(`retry_policy.non_retryable_reasons[${i}]`, reason, MAX_REASON_LENGTH, 1);
    });
  }
  if (request.webhook !== undefined) v.name("webhook.endpoint_id", request.webhook.endpointId);
  v.duration("result_ttl", request.resultTtl, 1_000, limits.maxWaitMs);
  if (request.start.case === "delay") v.duration("delay", request.start.value, 0, limits.maxWaitMs);
  if (request.start.case === "startTime") {
    v.timestamp("start_time", request.start.value);
    if (msFromTimestamp(request.start.value) - nowMs > limits.maxWaitMs) {
      v.add("start_time", `must be at most ${limits.maxWaitMs / 86_400_000} days from now`);
    }
  }
  return v;
}

/** The task that a valid submission asks for. `randomId` names it if nothing else does. */
export function taskFromSubmission(
  request: SubmitTaskRequest,
  tenant: string,
  nowMs: number,
  randomId: () => string,
): Task {
  // A literal, as everything that each task makes: see task-codec.
  const task: Task = {
    $typeName: "mycel.v1.Task",
    taskId: taskIdFor(request, tenant, randomId),
    type: request.type,
    queue: request.queue || request.type,
    priority: request.priority || Priority.NORMAL,
    input: request.input,
    labels: request.labels,
    timeouts: timeoutsOf(request.timeouts),
    retryPolicy: {
      $typeName: "mycel.v1.RetryPolicy",
      maximumAttempts: request.retryPolicy?.maximumAttempts || DEFAULT_RETRY_POLICY.maximumAttempts,
      initialInterval: request.retryPolicy?.initialInterval ?? initialIntervalFor(request),
      backoffCoefficient: request.retryPolicy?.backoffCoefficient || DEFAULT_RETRY_POLICY.backoffCoefficient,
      maximumInterval: request.retryPolicy?.maximumInterval ?? maximumIntervalFor(request),
      nonRetryableReasons: request.retryPolicy?.nonRetryableReasons ?? [],
    },
    resultTtl: request.resultTtl ?? durationFromMs(DEFAULT_RESULT_TTL_MS),
    createTime: timestampFromMs(nowMs),
    redriveOf: "",
  };
  if (request.webhook !== undefined) task.webhook = request.webhook;
  const startMs = startMsOf(request, nowMs);
  if (startMs !== undefined && startMs > nowMs) task.startTime = timestampFromMs(startMs);
  return task;
}

/** The id of the task that a submission is for. `randomId` gives one if nothing else does. */
export function taskIdFor(
  { taskId, requestId }: Pick<SubmitTaskRequest, "taskId" | "requestId">,
  tenant: string,
  randomId: () => string,
): string {
  return taskId || (requestId === "" ? randomId() : idFromRequest(tenant, requestId));
}

/** The default wait must not lie above a cap that the caller chose: the policy in force must be one that can be submitted again. */
function initialIntervalFor(request: SubmitTaskRequest): ReturnType<typeof durationFromMs> {
  const maximumMs = msFromDuration(request.retryPolicy?.maximumInterval) ?? DEFAULT_RETRY_POLICY.maximumIntervalMs;
  return durationFromMs(Math.min(maximumMs, DEFAULT_RETRY_POLICY.initialIntervalMs));
}

/** The default cap must not lie below an initial interval that the caller chose. */
function maximumIntervalFor(request: SubmitTaskRequest): ReturnType<typeof durationFromMs> {
  const initialMs = msFromDuration(request.retryPolicy?.initialInterval) ?? 0;
  return durationFromMs(Math.max(initialMs, DEFAULT_RETRY_POLICY.maximumIntervalMs));
}

function timeoutsOf(asked: Timeouts | undefined): Timeouts {
  const startToClose = asked?.startToClose ?? durationFromMs(DEFAULT_START_TO_CLOSE_MS);
  return { $typeName: "mycel.v1.Timeouts", ...asked, startToClose };
}

function startMsOf(request: SubmitTaskRequest, nowMs: number): number | undefined {
  if (request.start.case === "startTime") return msFromTimestamp(request.start.value);
  return request.start.case === "delay" ? nowMs + msFromDuration(request.start.value) : undefined;
}

/** A task id that follows from a request id, so that repeating the request names the same task. */
export function idFromRequest(tenant: string, requestId: string): string {
  return `r-${createHash("sha256").update(`${tenant}\0${requestId}`).digest("base64url").slice(0, 22)}`;
}

/** Tells a repeated submission from a different one under the same id. */
export function submissionDigest(request: SubmitTaskRequest): Uint8Array<ArrayBuffer> {
  // Protobuf bytes are stable within one codec for equal messages, but for maps, whose order is the caller's; Go's even changes it from
  // one repetition to the next. JSON goes in as text, which is far cheaper to make in one order than a message, and no two values share
  // one: the text of a string has its quotes.
  const canonical = { ...request, labels: inOneOrder(request.labels, String), taskId: "", requestId: "" };
  const input = request.input;
  if (input?.kind.case === "json") {
    const text = JSON.stringify(canonicalJson(input.kind.value));
    const value = create(ValueSchema, { kind: { case: "stringValue", value: text } });
    canonical.input = { ...input, kind: { case: "json", value } };
  }
  return new Uint8Array(hash("sha256", encodeAround(SubmitTaskRequestSchema, canonical, "input"), "buffer"));
}

/** What a JSON value holds, its objects' keys in one order. */
function canonicalJson({ kind }: Value): unknown {
  switch (kind.case) {
    case "structValue":
      return inOneOrder(kind.value.fields, canonicalJson);
    case "listValue":
      return kind.value.values.map(canonicalJson);
    case "nullValue":
    case undefined:
      return null;
    default:
      return kind.value;
  }
}

function inOneOrder<T, U>(map: Readonly<Record<string, T>>, each: (value: T) => U): Record<string, U> {
  const entries = Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, value]) => [key, each(value)]));
}
