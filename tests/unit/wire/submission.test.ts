// Submissions: every field at, below and above its bounds; the defaults; and the digest that recognises a repetition.
import { create, fromBinary, fromJson, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyPack, type Duration, StringValueSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { type SubmitTaskRequest, SubmitTaskRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { Priority } from "../../../gen/mycel/v1/task_pb.ts";
import { MAX_INLINE_PAYLOAD_BYTES, MAX_WAIT_MS } from "../../../lib/core/limits.ts";
import { checkSubmission, idFromRequest, submissionDigest, taskFromSubmission } from "../../../lib/wire/submission.ts";
import { durationFromMs, msFromDuration, msFromTimestamp, timestampFromMs } from "../../../lib/wire/time-codec.ts";

type Init = MessageInitShape<typeof SubmitTaskRequestSchema>;

const NOW = 1_700_000_000_000;
const DAY_MS = 86_400_000;
const LIMITS = { maxStartToCloseMs: DAY_MS, maxWaitMs: MAX_WAIT_MS };

function request(init: Init = {}): SubmitTaskRequest {
  return create(SubmitTaskRequestSchema, { type: "echo", ...init });
}

function wrongFields(init: Init): string[] {
  return checkSubmission(request(init), LIMITS, NOW).found.map(({ field }) => field);
}

function ms(value: number): Duration {
  return durationFromMs(value);
}

function bytes(length: number): NonNullable<Init["input"]> {
  return { kind: { case: "bytes", value: { data: new Uint8Array(length) } } };
}

function labels(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, "v"]));
}

function reasons(count: number, length: number): NonNullable<Init["retryPolicy"]> {
  return { nonRetryableReasons: Array.from({ length: count }, () => "R".repeat(length)) };
}

describe("a submission", () => {
  test.for<[string, Init, string | undefined]>([
    ["the least", {}, undefined],
    ["no type", { type: "" }, "type"],
    ["a type of two tokens", { type: "a.b" }, "type"],
    ["the longest type", { type: "x".repeat(64) }, undefined],
    ["a longer type", { type: "x".repeat(65) }, "type"],
    ["a type whose queue is a system queue", { type: "_delayed" }, "type"],
    ["such a type in a queue of its own", { type: "_delayed", queue: "other" }, undefined],
    ["the longest task id", { taskId: "x".repeat(100) }, undefined],
    ["a longer task id", { taskId: "x".repeat(101) }, "task_id"],
    ["a task id with a wildcard", { taskId: "*" }, "task_id"],
    ["the longest request id", { requestId: "é".repeat(256) }, undefined],
    ["a longer request id", { requestId: "x".repeat(257) }, "request_id"],
    ["a system queue", { queue: "_withdrawn" }, "queue"],
    ["a queue with a space", { queue: "a b" }, "queue"],
    ["an unknown priority", { priority: 7 as Priority }, "priority"],
    ["a known priority", { priority: Priority.CRITICAL }, undefined],
    ["32 labels", { labels: labels(32) }, undefined],
    ["33 labels", { labels: labels(33) }, "labels"],
    ["the longest label", { labels: { ["k".repeat(63)]: "v".repeat(255) } }, undefined],
    ["a longer label key", { labels: { ["k".repeat(64)]: "" } }, "labels"],
    ["an empty label key", { labels: { "": "" } }, "labels"],
    ["a longer label value", { labels: { k: "v".repeat(256) } }, 'labels["k"]'],
    ["the largest input", { input: bytes(MAX_INLINE_PAYLOAD_BYTES) }, undefined],
    ["a larger input", { input: bytes(MAX_INLINE_PAYLOAD_BYTES + 1) }, "input"],
    [
      "the longest media type",
      { input: { kind: { case: "bytes", value: { contentType: "t".repeat(255) } } } },
      undefined,
    ],
    [
      "a longer media type",
      { input: { kind: { case: "bytes", value: { contentType: "t".repeat(256) } } } },
      "input.bytes.content_type",
    ],
    [
      "a message with a huge type",
      { input: { kind: { case: "message", value: { typeUrl: "u".repeat(MAX_INLINE_PAYLOAD_BYTES + 1) } } } },
      "input",
    ],
    [
      "a blob without an id",
      { input: { kind: { case: "blob", value: { sha256: new Uint8Array(32) } } } },
      "input.blob.blob_id",
    ],
    [
      "a blob with a short hash",
      { input: { kind: { case: "blob", value: { blobId: "b", sha256: new Uint8Array(31) } } } },
      "input.blob.sha256",
    ],
    [
      "the largest blob",
      {
        input: { kind: { case: "blob", value: { blobId: "b", sha256: new Uint8Array(32), sizeBytes: 100_000_000n } } },
      },
      undefined,
    ],
    [
      "a larger blob",
      {
        input: { kind: { case: "blob", value: { blobId: "b", sha256: new Uint8Array(32), sizeBytes: 100_000_001n } } },
      },
      "input.blob.size_bytes",
    ],
    ["1 attempt", { retryPolicy: { maximumAttempts: 1 } }, undefined],
    ["100 attempts", { retryPolicy: { maximumAttempts: 100 } }, undefined],
    ["101 attempts", { retryPolicy: { maximumAttempts: 101 } }, "retry_policy.maximum_attempts"],
    ["-1 attempts", { retryPolicy: { maximumAttempts: -1 } }, "retry_policy.maximum_attempts"],
    ["growth by 1", { retryPolicy: { backoffCoefficient: 1 } }, undefined],
    ["growth by 10", { retryPolicy: { backoffCoefficient: 10 } }, undefined],
    ["growth below 1", { retryPolicy: { backoffCoefficient: 0.99 } }, "retry_policy.backoff_coefficient"],
    ["growth above 10", { retryPolicy: { backoffCoefficient: 10.01 } }, "retry_policy.backoff_coefficient"],
    ["growth by no number", { retryPolicy: { backoffCoefficient: NaN } }, "retry_policy.backoff_coefficient"],
    ["a cap at the first wait", { retryPolicy: { initialInterval: ms(500), maximumInterval: ms(500) } }, undefined],
    [
      "a cap below the first wait",
      { retryPolicy: { initialInterval: ms(500), maximumInterval: ms(499) } },
      "retry_policy.maximum_interval",
    ],
    ["32 reasons of 63 characters", { retryPolicy: reasons(32, 63) }, undefined],
    ["33 reasons", { retryPolicy: reasons(33, 1) }, "retry_policy.non_retryable_reasons"],
    ["a longer reason", { retryPolicy: reasons(1, 64) }, "retry_policy.non_retryable_reasons[0]"],
    ["an empty reason", { retryPolicy: reasons(1, 0) }, "retry_policy.non_retryable_reasons[0]"],
    ["a start at the furthest", { start: { case: "startTime", value: timestampFromMs(NOW + MAX_WAIT_MS) } }, undefined],
    [
      "a start further away",
      { start: { case: "startTime", value: timestampFromMs(NOW + MAX_WAIT_MS + 1) } },
      "start_time",
    ],
    ["a start in the past", { start: { case: "startTime", value: timestampFromMs(0) } }, undefined],
    ["a start with negative nanos", { start: { case: "startTime", value: { nanos: -1 } } }, "start_time"],
    ["a start before year 1", { start: { case: "startTime", value: { seconds: -62_135_596_801n } } }, "start_time"],
  ])("with %s", ([, init, field]) => {
    expect(wrongFields(init)).toEqual(field === undefined ? [] : [field]);
  });

  test.for<[string, number, number, (value: Duration) => Init]>([
    ["timeouts.schedule_to_start", 1_000, MAX_WAIT_MS, (scheduleToStart) => ({ timeouts: { scheduleToStart } })],
    ["timeouts.start_to_close", 10, DAY_MS, (startToClose) => ({ timeouts: { startToClose } })],
    ["timeouts.schedule_to_close", 1_000, MAX_WAIT_MS, (scheduleToClose) => ({ timeouts: { scheduleToClose } })],
    ["timeouts.heartbeat", 1_000, 3_600_000, (heartbeat) => ({ timeouts: { heartbeat } })],
    ["retry_policy.initial_interval", 0, DAY_MS, (initialInterval) => ({ retryPolicy: { initialInterval } })],
    ["retry_policy.maximum_interval", 0, DAY_MS, (maximumInterval) => ({ retryPolicy: { maximumInterval } })],
    ["result_ttl", 1_000, MAX_WAIT_MS, (resultTtl) => ({ resultTtl })],
    ["delay", 0, MAX_WAIT_MS, (value) => ({ start: { case: "delay", value } })],
  ])("bounds %s from %d to %d ms, well formed", ([field, min, max, init]) => {
    expect(wrongFields(init(ms(min)))).toEqual([]);
    expect(wrongFields(init(ms(max)))).toEqual([]);
    expect(wrongFields(init(ms(min - 1)))).toEqual([field]);
    expect(wrongFields(init(ms(max + 1)))).toEqual([field]);
    const mixed = { ...ms(5_000), nanos: -1 };
    const overfull = { ...ms(5_000), nanos: 1_000_000_000 };
    for (const value of [mixed, overfull]) expect(wrongFields(init(value))).toEqual([field]);
  });

  test("is told everything that is wrong with it at once, each under its own path", () => {
    const wrong: Init = {
      type: "",
      taskId: ".",
      queue: "_delayed",
      priority: 2 as Priority,
      retryPolicy: { maximumAttempts: 101 },
    };
    const violations = checkSubmission(request(wrong), LIMITS, NOW, "tasks[3].");
    expect(violations.found.map(({ field }) => field)).toEqual([
      "tasks[3].task_id",
      "tasks[3].type",
      "tasks[3].queue",
      "tasks[3].priority",
      "tasks[3].retry_policy.maximum_attempts",
    ]);
    expect(violations.error()).toMatchObject({ reason: "INVALID_REQUEST", violations: violations.found });
    expect(violations.error()?.message).toContain("(and 4 more)");
    expect(() => violations.throwIfAny()).toThrow("tasks[3].task_id");
  });

  test("is too large only if nothing else is wrong", () => {
    const input = bytes(MAX_INLINE_PAYLOAD_BYTES + 1);
    expect(checkSubmission(request({ input }), LIMITS, NOW).error()?.reason).toBe("PAYLOAD_TOO_LARGE");
    expect(checkSubmission(request({ input, type: "" }), LIMITS, NOW).error()?.reason).toBe("INVALID_REQUEST");
    expect(checkSubmission(request(), LIMITS, NOW).error()).toBeUndefined();
  });
});

describe("the task of a submission", () => {
  function task(init: Init = {}) {
    return taskFromSubmission(request(init), "acme", NOW, () => "random");
  }

  test("has every default filled in", () => {
    const { taskId, queue, priority, timeouts, retryPolicy, resultTtl, createTime, startTime } = task();
    expect({ taskId, queue, priority, startTime }).toEqual({
      taskId: "random",
      queue: "echo",
      priority: Priority.NORMAL,
      startTime: undefined,
    });
    expect(msFromTimestamp(createTime)).toBe(NOW);
    expect(msFromDuration(resultTtl)).toBe(DAY_MS);
    expect(msFromDuration(timeouts?.startToClose)).toBe(30_000);
    expect(timeouts?.scheduleToStart ?? timeouts?.scheduleToClose ?? timeouts?.heartbeat).toBeUndefined();
    expect(retryPolicy).toMatchObject({ maximumAttempts: 3, backoffCoefficient: 2, nonRetryableReasons: [] });
    expect(msFromDuration(retryPolicy?.initialInterval)).toBe(5_000);
    expect(msFromDuration(retryPolicy?.maximumInterval)).toBe(300_000);
  });

  test("keeps what was asked for", () => {
    const kept = task({
      queue: "q",
      priority: Priority.LOW,
      timeouts: { scheduleToClose: ms(9_000) },
      resultTtl: ms(2_000),
    });
    expect(kept).toMatchObject({ queue: "q", priority: Priority.LOW });
    expect(msFromDuration(kept.timeouts?.scheduleToClose)).toBe(9_000);
    expect(msFromDuration(kept.timeouts?.startToClose)).toBe(30_000);
    expect(msFromDuration(kept.resultTtl)).toBe(2_000);
  });

  test.for<[string, NonNullable<Init["retryPolicy"]>, number, number]>([
    ["a first wait above the default cap", { initialInterval: ms(600_000) }, 600_000, 600_000],
    ["a cap below the default first wait", { maximumInterval: ms(1_000) }, 1_000, 1_000],
    ["no wait at all", { initialInterval: ms(0), maximumInterval: ms(0) }, 0, 0],
  ])("has a policy that can be submitted again: %s", ([, retryPolicy, initialMs, maximumMs]) => {
    const policy = task({ retryPolicy }).retryPolicy!;
    expect(msFromDuration(policy.initialInterval)).toBe(initialMs);
    expect(msFromDuration(policy.maximumInterval)).toBe(maximumMs);
    expect(wrongFields({ retryPolicy: policy })).toEqual([]);
  });

  test.for<[string, Init["start"], number | undefined]>([
    ["a delay", { case: "delay", value: ms(1_500) }, NOW + 1_500],
    ["no delay", { case: "delay", value: ms(0) }, undefined],
    ["a time", { case: "startTime", value: timestampFromMs(NOW + 1) }, NOW + 1],
    ["a time that has passed", { case: "startTime", value: timestampFromMs(NOW - 1) }, undefined],
  ])("starts after %s", ([, start, expected]) => {
    expect(msFromTimestamp(task({ start: start! }).startTime)).toBe(expected);
  });

  test("keeps where its end is to be delivered", () => {
    expect(task({}).webhook).toBeUndefined();
    expect(task({ webhook: { endpointId: "e", allStates: true } }).webhook).toMatchObject({
      endpointId: "e",
      allStates: true,
    });
  });

  test("is named by its id, else by its request, else at random; never alike in two tenants", () => {
    expect(task({ taskId: "mine", requestId: "r" }).taskId).toBe("mine");
    expect(task({ requestId: "r" }).taskId).toBe(idFromRequest("acme", "r"));
    expect(idFromRequest("acme", "r")).toMatch(/^r-[A-Za-z0-9_-]{22}$/);
    expect(new Set([idFromRequest("a", "bc"), idFromRequest("ab", "c"), idFromRequest("a", "c")]).size).toBe(3);
  });
});

describe("the digest of a submission", () => {
  function digest(init: Init): string {
    return Buffer.from(submissionDigest(request(init))).toString("hex");
  }
  function json(text: string): NonNullable<Init["input"]> {
    return { kind: { case: "json", value: fromJson(ValueSchema, JSON.parse(text)) } };
  }

  test("depends on where the end is to be delivered", () => {
    const webhooks = [undefined, { endpointId: "a" }, { endpointId: "b" }, { endpointId: "a", allStates: true }];
    const digests = webhooks.map((webhook) => digest(webhook === undefined ? {} : { webhook }));
    expect(new Set(digests).size).toBe(webhooks.length);
  });

  test("does not depend on the order of labels or of JSON keys, at any depth", () => {
    expect(digest({ labels: { a: "1", b: "2" } })).toBe(digest({ labels: { b: "2", a: "1" } }));
    expect(digest({ input: json('{"a":[{"x":1,"y":2}],"b":{"c":1,"d":2}}') })).toBe(
      digest({ input: json('{"b":{"d":2,"c":1},"a":[{"y":2,"x":1}]}') }),
    );
  });

  test("does not depend on how the task is named", () => {
    expect(digest({ taskId: "a", requestId: "r" })).toBe(digest({}));
  });

  test("is the same for what came over the wire", () => {
    const sent = request({ labels: { a: "1" }, input: json('{"b":1,"a":[null,true,"x"]}') });
    const received = fromBinary(SubmitTaskRequestSchema, toBinary(SubmitTaskRequestSchema, sent));
    expect(submissionDigest(received)).toEqual(submissionDigest(sent));
  });

  test("leaves the submission as it was", () => {
    const sent = request({ taskId: "a", labels: { b: "2", a: "1" }, input: json('{"b":1,"a":2}') });
    const before = toBinary(SubmitTaskRequestSchema, sent);
    submissionDigest(sent);
    expect(toBinary(SubmitTaskRequestSchema, sent)).toEqual(before);
  });

  test("differs for different contents", () => {
    const different: Init[] = [
      {},
      { type: "other" },
      { queue: "q" },
      { priority: Priority.NORMAL },
      { labels: { a: "1" } },
      { labels: { a: "2" } },
      { labels: { b: "1" } },
      { input: json("[1,2]") },
      { input: json("[2,1]") },
      { input: json('{"a":1}') },
      { input: json('{"b":1}') },
      { input: json('{"a":{"b":1}}') },
      { input: json(JSON.stringify('{"a":{"b":1}}')) },
      { input: json("1") },
      { input: json('"1"') },
      { input: json("null") },
      { input: json('"null"') },
      { input: bytes(0) },
      { input: bytes(1) },
      {
        input: {
          kind: { case: "message", value: anyPack(StringValueSchema, create(StringValueSchema, { value: "x" })) },
        },
      },
      { timeouts: { startToClose: ms(1_000) } },
      { timeouts: { scheduleToStart: ms(1_000) } },
      { retryPolicy: { maximumAttempts: 1 } },
      { resultTtl: ms(1_000) },
      { start: { case: "delay", value: ms(1_000) } },
      { start: { case: "startTime", value: timestampFromMs(1_000) } },
    ];
    expect(new Set(different.map(digest)).size).toBe(different.length);
  });
});
