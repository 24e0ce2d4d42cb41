// Reading JSON as a message: what Protobuf's own JSON says is read, and everything that is wrong is told at once by its path.
import { create, fromJson, toJson } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { SubmitTaskRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { readMessageJson } from "../../../lib/wire/message-json.ts";

const faults = (value: unknown): string[] =>
  readMessageJson(SubmitTaskRequestSchema, value).violations.map(
    ({ field, description }) => `${field}: ${description}`,
  );

test.for<[string, unknown, string[]]>([
  [
    "a wrong scalar of each kind",
    { taskId: 1, labels: { a: 2 } },
    ["taskId: must be a string", "labels.a: must be a string"],
  ],
  ["null", { type: null }, ["type: must not be null; leave the field out"]],
  [
    "a misspelt field within another",
    { timeouts: { startToEnd: "1s" } },
    ["timeouts.startToEnd: unknown field; the fields are scheduleToStart, startToClose, scheduleToClose, heartbeat"],
  ],
  [
    "a duration",
    { timeouts: { startToClose: "soon" } },
    ['timeouts.startToClose: must be a duration in seconds such as "1.5s"'],
  ],
  [
    "an enum",
    { priority: "URGENT" },
    ["priority: must be one of PRIORITY_UNSPECIFIED, PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITY_CRITICAL"],
  ],
  [
    "a list that is none",
    { retryPolicy: { nonRetryableReasons: "A" } },
    ["retryPolicy.nonRetryableReasons: must be a list"],
  ],
  [
    "items of a list",
    { retryPolicy: { nonRetryableReasons: ["A", 1, null] } },
    ["retryPolicy.nonRetryableReasons[1]: must be a string", "retryPolicy.nonRetryableReasons[2]: must be a string"],
  ],
  [
    "a whole number",
    { retryPolicy: { maximumAttempts: "3" } },
    ["retryPolicy.maximumAttempts: must be a whole number"],
  ],
  ["a number", { retryPolicy: { backoffCoefficient: "2" } }, ["retryPolicy.backoffCoefficient: must be a number"]],
  ["bytes", { input: { bytes: { data: "é" } } }, ["input.bytes.data: must be bytes in base64"]],
  [
    "two of a oneof",
    { input: { json: 1, bytes: {} } },
    ["input.bytes: cannot stand beside json: give only one of json, bytes, message, blob"],
  ],
  ["a field by both its names", { taskId: "a", task_id: "b" }, ["taskId: is given twice: also as task_id"]],
  [
    "a key that is no word",
    { "a b": 1, labels: { "x/y": 1 } },
    ['["a b"]: unknown field; the fields are taskId, requestId', 'labels["x/y"]: must be a string'],
  ],
  ["64 bits", { input: { blob: { sizeBytes: -1 } } }, ["input.blob.sizeBytes: must be a whole number, not below 0"]],
])("%s is refused by its path", ([, value, expected]) => {
  // Not the whole list: the contract grows.
  const found = faults(value).map((line) => line.replace(/(the fields are taskId, requestId).*/, "$1"));
  expect(found).toEqual(expected);
});

test("no object is refused as a whole", () => {
  for (const value of [null, 1, "x", [], undefined]) {
    expect(faults(value)).toEqual([expect.stringMatching(/^: must be an object with taskId, requestId/)]);
  }
});

test("what can be read is read beside what cannot", () => {
  const { message, violations } = readMessageJson(SubmitTaskRequestSchema, {
    type: "echo",
    queue: 1,
    labels: { a: "b", c: 1 },
  });
  expect(violations.map(({ field }) => field)).toEqual(["queue", "labels.c"]);
  expect(message).toMatchObject({ type: "echo", queue: "", labels: { a: "b" } });
});

test("a field of any value takes null, and either name of a field is heard", () => {
  expect(readMessageJson(PayloadSchema, { json: null })).toEqual({
    message: fromJson(PayloadSchema, { json: null }),
    violations: [],
  });
  expect(readMessageJson(SubmitTaskRequestSchema, { task_id: "a" }).message.taskId).toBe("a");
});

test("what Protobuf writes is read as it was", () => {
  const request = fc.record(
    {
      type: fc.string(),
      priority: fc.constantFrom(0, 1, 5, 10, 15),
      labels: fc.dictionary(
        fc.string().filter((key) => key !== "__proto__"),
        fc.string(),
      ),
      timeouts: fc.record({
        startToClose: fc.record({ seconds: fc.bigInt(0n, 1_000_000n), nanos: fc.nat(999_999_999) }),
      }),
      retryPolicy: fc.record({
        maximumAttempts: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        backoffCoefficient: fc.double(),
        nonRetryableReasons: fc.array(fc.string()),
      }),
      input: fc.record({
        kind: fc.oneof(
          fc.record({ case: fc.constant("bytes" as const), value: fc.record({ data: fc.uint8Array() }) }),
          fc.record({
            case: fc.constant("blob" as const),
            value: fc.record({ sizeBytes: fc.bigInt(0n, 2n ** 64n - 1n) }),
          }),
        ),
      }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(request, fc.boolean(), (init, alwaysEmitImplicit) => {
      const message = create(SubmitTaskRequestSchema, init);
      const read = readMessageJson(
        SubmitTaskRequestSchema,
        toJson(SubmitTaskRequestSchema, message, { alwaysEmitImplicit }),
      );
      expect(read.violations).toEqual([]);
      expect(read.message).toEqual(message);
    }),
  );
});
