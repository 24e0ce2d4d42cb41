import { create, fromBinary, fromJson, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { valueSize } from "../../../lib/wire/value-size.ts";

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
