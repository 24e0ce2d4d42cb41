// What is written around a large payload, against what the library writes.
import {
  create,
  fromBinary,
  fromJson,
  type JsonValue,
  type Message,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { DurationSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import { WireType } from "@bufbuild/protobuf/wire";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SubmitTaskRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { DispatchSchema, TaskEventSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { BackWriter } from "../../../lib/wire/back-writer.ts";
import { encodeAround, takeApart } from "../../../lib/wire/large-payload.ts";
import { submissionDigest } from "../../../lib/wire/submission.ts";
import { encodeDispatch } from "../../../lib/wire/task-codec.ts";

function payloadOf(json: JsonValue): Payload {
  return create(PayloadSchema, { kind: { case: "json", value: fromJson(ValueSchema, json) } });
}

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  // Lone surrogates, which have no form in UTF-8.
  fc.string({ unit: fc.nat({ max: 0xffff }).map((code) => String.fromCharCode(code)), maxLength: 20 }),
  fc.nat({ max: 70_000 }).map((length) => "x".repeat(length)),
  fc.nat({ max: 9_000 }).map((length) => "é€😀".repeat(length)),
);
const json: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    text,
    fc.constantFrom(null, true, false, 0, -0, 1.5, Number.MAX_VALUE, 5e-324),
    fc.array(tie("value"), { maxLength: 8 }),
    fc.dictionary(text, tie("value"), { maxKeys: 6, noNullPrototype: true }),
  ),
})).value;
const payload = json.map(payloadOf);

const request = fc.record({
  taskId: fc.string(),
  type: fc.string(),
  queue: fc.string(),
  priority: fc.nat({ max: 300 }),
  labels: fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
  resultTtl: fc
    .record({ seconds: fc.bigInt({ min: 0n, max: 1n << 40n }), nanos: fc.nat() })
    .map((ttl) => create(DurationSchema, ttl)),
  input: payload,
});

describe("a message around a payload", () => {
  test("is written as by the library", () => {
    fc.assert(
      fc.property(request, (init) => {
        const message = create(SubmitTaskRequestSchema, init as MessageInitShape<typeof SubmitTaskRequestSchema>);
        expect(Buffer.from(encodeAround(SubmitTaskRequestSchema, message, "input"))).toEqual(
          Buffer.from(toBinary(SubmitTaskRequestSchema, message)),
        );
      }),
    );
  });

  test.for([100, 2_044, 2_045, 16_384, 2_097_152])("is written so with a text of %i bytes", (length) => {
    const message = create(TaskEventSchema, { state: 3, result: payloadOf("x".repeat(length)), deliveries: 300 });
    const written = encodeAround(TaskEventSchema, message, "result");
    expect(Buffer.compare(written, toBinary(TaskEventSchema, message))).toBe(0);
    expect(takeApart(TaskEventSchema, message, "result") === undefined).toBe(length < 2_045);
  });

  test("is written so as the task of a dispatch", () => {
    fc.assert(
      fc.property(payload, fc.uint8Array(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (input, digest, fence) => {
        const dispatch = create(DispatchSchema, {
          task: { taskId: "t", type: "echo", input, labels: { a: "b" }, redriveOf: "u" },
          attempt: 2,
          fence,
          beginRequired: true,
          requestDigest: digest,
        });
        expect(Buffer.compare(encodeDispatch(dispatch), toBinary(DispatchSchema, dispatch))).toBe(0);
      }),
    );
  });

  test("keeps what this version does not know, wherever it is", () => {
    const large = "x".repeat(5_000);
    const unknown = [{ no: 100, wireType: WireType.LengthDelimited, data: new Uint8Array([2, 7, 7]) }];
    const odd: ((message: Payload) => Message)[] = [
      (input) => input,
      (input) => (input.kind.case === "json" ? input.kind.value : input),
    ];
    for (const place of odd) {
      const message = create(SubmitTaskRequestSchema, { type: "echo", input: payloadOf([large]) });
      place(message.input!).$unknown = unknown;
      message.$unknown = [{ no: 99, wireType: WireType.Varint, data: new Uint8Array([1]) }];
      const written = encodeAround(SubmitTaskRequestSchema, message, "input");
      expect(Buffer.compare(written, toBinary(SubmitTaskRequestSchema, message))).toBe(0);
      expect(fromBinary(SubmitTaskRequestSchema, written).$unknown).toHaveLength(1);
    }
  });

  test("is written by the library when it is no JSON", () => {
    const bytes = { case: "bytes" as const, value: { data: new Uint8Array(5_000), contentType: "a/b" } };
    const message = create(SubmitTaskRequestSchema, { type: "echo", input: { kind: bytes } });
    expect(takeApart(SubmitTaskRequestSchema, message, "input")).toBeUndefined();
    expect(encodeAround(SubmitTaskRequestSchema, message, "input")).toEqual(toBinary(SubmitTaskRequestSchema, message));
  });
});

test("the digest of a large submission is what it always was", () => {
  const message = create(SubmitTaskRequestSchema, { type: "echo", input: payloadOf({ b: "é".repeat(4_000), a: [1] }) });
  expect(Buffer.from(submissionDigest(message)).toString("hex")).toBe(
    "94e7b1c833f42685f82587bf207c604cc5ad21a347f0424418a152da7080a539",
  );
});

test("a writer without room says so", () => {
  expect(() => new BackWriter(3).copy(new Uint8Array(4))).toThrow("no room is left");
});
