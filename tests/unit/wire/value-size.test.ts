import { create, fromBinary, fromJson, type JsonValue, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_JSON_DEPTH } from "../../../lib/core/limits.ts";
import { valueFault, valueSize } from "../../../lib/wire/value-size.ts";

describe("the size of a JSON value", () => {
  test("is that of its encoding", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5, stringUnit: "grapheme" }), (json) => {
        const value = fromJson(ValueSchema, JSON.parse(JSON.stringify(json)));
        expect(valueSize(value)).toBe(toBinary(ValueSchema, value).length);
      }),
    );
  });

  test.for([0, 126, 127, 128, 16_382, 16_383, 16_384, 2_097_151, 2_097_152])("is right for a text of %i", (length) => {
    const value = fromJson(ValueSchema, [{ é: "x".repeat(length) }]);
    expect(valueSize(value)).toBe(toBinary(ValueSchema, value).length);
  });

  test("counts no content as nothing", () => {
    expect(valueSize(create(ValueSchema))).toBe(0);
  });

  test("counts what this version does not know", () => {
    const unknown = Buffer.concat([Buffer.from([0xfa, 0x07, 0xe8, 0x07]), Buffer.alloc(1_000)]);
    const value = fromBinary(ValueSchema, Buffer.concat([toBinary(ValueSchema, fromJson(ValueSchema, 1)), unknown]));
    expect(valueSize(value)).toBeGreaterThanOrEqual(toBinary(ValueSchema, value).length);
  });
});

const nest = (levels: number, item: JsonValue): JsonValue =>
  Array.from({ length: levels }).reduce<JsonValue>((inner, _, i) => (i % 2 === 0 ? [inner] : { inner }), item);

test("a value that everybody can read back has no fault", () => {
  for (const json of [null, 0, -1.5e300, "", [], {}, nest(30, "deep"), nest(30, null)]) {
    expect(valueFault(fromJson(ValueSchema, json))).toBe(undefined);
  }
});

test.for([
  ["nests an array too deep", fromJson(ValueSchema, nest(30, []))],
  ["nests an object too deep", fromJson(ValueSchema, [1, nest(29, {})])],
  ["is not set", create(ValueSchema)],
  ["holds a value that is not set", create(ValueSchema, list([{}]))],
  ["is no number", create(ValueSchema, { kind: { case: "numberValue", value: Number.NaN } })],
  ["holds an infinite number", create(ValueSchema, list([{ kind: { case: "numberValue", value: -Infinity } }]))],
] as const)("a value that %s has a fault", ([, value]) => {
  expect(valueFault(value)).toMatch(/^must /);
});

test("a value of the deepest kind is read in whatever it travels in, by parsers that count the entries of maps", () => {
  // Value, and for each level Struct, entry, Value; around it RunTaskResponse, StreamResultsResponse, AttemptOutput, Output, Payload.
  const messages = 1 + 3 * MAX_JSON_DEPTH + 5;
  expect(messages).toBeLessThanOrEqual(100);
});

function list(values: MessageInitShape<typeof ValueSchema>[]): MessageInitShape<typeof ValueSchema> {
  return { kind: { case: "listValue", value: { values: values.map((value) => create(ValueSchema, value)) } } };
}
