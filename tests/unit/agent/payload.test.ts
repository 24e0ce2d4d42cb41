import { create, fromBinary, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { encodePayload, valueOfPayload } from "../../../sdk/agent/payload.ts";

function roundTrip(value: unknown): unknown {
  const bytes = encodePayload(value);
  return bytes === undefined ? undefined : valueOfPayload(fromBinary(PayloadSchema, bytes));
}

test("JSON values come back as they went, with the bytes of the generated codec's reading", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const json: JsonValue = JSON.parse(JSON.stringify(value));
      const bytes = encodePayload(value)!;
      const expected = create(PayloadSchema, { kind: { case: "json", value: fromJson(ValueSchema, json) } });
      expect(fromBinary(PayloadSchema, bytes)).toEqual(fromBinary(PayloadSchema, toBinary(PayloadSchema, expected)));
      expect(roundTrip(value)).toEqual(json);
    }),
  );
});

test.for([
  ["undefined is no payload", undefined, undefined],
  [
    "what has no JSON form is null in a list and left out of an object",
    { a: [undefined, Number.NaN], b: undefined, c: () => 1 },
    { a: [null, null] },
  ],
  ["toJSON is asked", { at: new Date(5) }, { at: "1970-01-01T00:00:00.005Z" }],
  ["a field may be called __proto__", JSON.parse('{"__proto__": 1}'), JSON.parse('{"__proto__": 1}')],
] as [string, unknown, unknown][])("%s", ([, value, expected]) => {
  expect(roundTrip(value)).toEqual(expected);
});

test("bytes stay bytes and a payload message stays as it is", () => {
  expect(roundTrip(new Uint8Array([1, 2]))).toEqual(new Uint8Array([1, 2]));
  const payload = create(PayloadSchema, {
    kind: { case: "bytes", value: { contentType: "text/x", data: new Uint8Array([9]) } },
  });
  expect(fromBinary(PayloadSchema, encodePayload(payload)!)).toEqual(payload);
});

test("a value that refers to itself, and a BigInt, are clear errors", () => {
  const loop: { self?: unknown } = {};
  loop.self = loop;
  expect(() => encodePayload(loop)).toThrow(/nested deeper than 30 levels, or refers to itself/);
  expect(() => encodePayload(1n)).toThrow(/BigInt/);
});
