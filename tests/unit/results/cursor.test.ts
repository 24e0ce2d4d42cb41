// What a cursor is: a position that survives the way to the caller and back, and nothing else.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Position, START } from "../../../lib/core/result-order.ts";
import { decodeCursor, encodeCursor } from "../../../lib/wire/cursor.ts";

const number = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
const positions = fc.record<Position>({ ordinal: number, event: number, output: number, item: number, index: number });

describe("a cursor", () => {
  test("gives back the position that was put in", () => {
    fc.assert(
      fc.property(positions, (position) => {
        const cursor = encodeCursor("default", "t-1", position);
        expect(cursor).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(decodeCursor("default", "t-1", cursor)).toEqual(position);
      }),
    );
  });

  test("is refused for another task or tenant", () => {
    const cursor = encodeCursor("default", "t-1", START);
    expect(decodeCursor("default", "t-2", cursor)).toBeUndefined();
    expect(decodeCursor("acme", "t-1", cursor)).toBeUndefined();
  });

  test("that was cut, prolonged or changed in one character never gives another position", () => {
    fc.assert(
      fc.property(positions, fc.nat(), fc.constantFrom(...Array.from("ABab01-_=+/. é")), (position, at, character) => {
        const cursor = encodeCursor("default", "t-1", position);
        const i = at % cursor.length;
        expect(decodeCursor("default", "t-1", cursor.slice(0, i))).toBeUndefined();
        expect(decodeCursor("default", "t-1", cursor + character)).toBeUndefined();
        const changed = cursor.slice(0, i) + character + cursor.slice(i + 1);
        const read = decodeCursor("default", "t-1", changed);
        if (read !== undefined) expect(encodeCursor("default", "t-1", read)).toBe(changed);
      }),
    );
  });

  test("is not found in any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        expect(decodeCursor("default", "t-1", text)).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });

  test.for(["", "AA", "!!!!", "A".repeat(10_000)])("is not %j", (text) => {
    expect(decodeCursor("default", "t-1", text)).toBeUndefined();
  });
});
