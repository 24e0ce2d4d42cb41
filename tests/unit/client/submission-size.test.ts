// How large submissions are said to be, against how large they are.
import { fromJsonString, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { SubmitTaskRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { encodeInput } from "../../../sdk/client/payload.ts";
import { mostBytesBeside, submissionOf } from "../../../sdk/client/submission.ts";

const text = fc.string({ unit: "grapheme", maxLength: 60 });
const options = fc.record({
  taskId: text,
  requestId: text,
  type: fc.string({ unit: "grapheme", minLength: 1 }),
  queue: text,
  priority: fc.constant("critical" as const),
  labels: fc.dictionary(text, text, { noNullPrototype: true }),
  scheduleToStartMs: fc.nat(),
  startToCloseMs: fc.double({ min: 0, max: 1e15, noNaN: true }),
  scheduleToCloseMs: fc.nat(),
  heartbeatMs: fc.nat(),
  retry: fc.record({
    maximumAttempts: fc.nat(),
    initialIntervalMs: fc.nat(),
    backoffCoefficient: fc.double({ min: 1, max: 10, noNaN: true }),
    maximumIntervalMs: fc.nat(),
    nonRetryableReasons: fc.array(text),
  }),
  resultTtlMs: fc.nat(),
  startTime: fc.date({ noInvalidDate: true }),
  webhook: fc.record({ endpointId: text, allStates: fc.boolean() }),
});
const input = fc.oneof(fc.constant(undefined), fc.jsonValue(), fc.uint8Array({ maxLength: 2_000 }));

test("a submission is never larger than it is said to be, and not much smaller", () => {
  fc.assert(
    fc.property(options, input, (task, input) => {
      const encoded = encodeInput(input);
      if (encoded.kind === "blob") throw new Error("is small");
      const request = submissionOf(task, encoded.payload);
      const size = toBinary(SubmitTaskRequestSchema, request).length;
      const most = encoded.mostBytes + mostBytesBeside(request);
      expect(most).toBeGreaterThanOrEqual(size);
      expect(most).toBeLessThan(400 + 7 * size);
    }),
  );
});

test("an input travels inline up to 256 KiB on the wire, and not beyond", () => {
  const frame = 8;
  expect(encodeInput("x".repeat(256 * 1024 - frame))).toMatchObject({ kind: "inline", mostBytes: 256 * 1024 });
  expect(encodeInput("x".repeat(256 * 1024 - frame + 1))).toMatchObject({ kind: "blob" });
});

test("an input is what JSON makes of it, whatever the way it takes", () => {
  const anyText = fc.string({ unit: fc.nat({ max: 0xffff }).map((code) => String.fromCharCode(code)) });
  fc.assert(
    fc.property(fc.oneof(anyText, fc.jsonValue()), (input) => {
      const encoded = encodeInput(input);
      if (encoded.kind === "blob") throw new Error("is small");
      expect(encoded.payload?.kind).toEqual({
        case: "json",
        value: fromJsonString(ValueSchema, JSON.stringify(input)),
      });
    }),
  );
  const large = "\u{1f600}\ud800".repeat(100_000);
  expect(encodeInput(large)).toEqual({
    kind: "blob",
    data: Buffer.from(JSON.stringify(large)),
    contentType: "application/json",
  });
});
