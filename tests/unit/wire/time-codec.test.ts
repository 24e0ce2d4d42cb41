// Times survive the way to the wire and back, and whatever is written is valid there.
import { create } from "@bufbuild/protobuf";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { durationFromMs, msFromDuration, msFromTimestamp, timestampFromMs } from "../../../lib/wire/time-codec.ts";

// The years 1 to 9999, as google.protobuf.Timestamp bounds them.
const moments = fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 });
const lengths = fc.integer({ min: -315_576_000_000_000, max: 315_576_000_000_000 });
const fractions = fc.double({ min: -1e12, max: 1e12, noNaN: true });

describe("a timestamp", () => {
  test("gives back its milliseconds", () => {
    fc.assert(
      fc.property(moments, (ms) => {
        expect(msFromTimestamp(timestampFromMs(ms))).toBe(ms);
      }),
    );
  });

  test("has nanos from 0 to below a second, fractions of milliseconds or not", () => {
    fc.assert(
      fc.property(fc.oneof(moments, fractions), (ms) => {
        const { nanos } = timestampFromMs(ms);
        expect(nanos >= 0 && nanos < 1e9).toBe(true);
        expect(Math.abs(msFromTimestamp(timestampFromMs(ms)) - ms)).toBeLessThanOrEqual(0.5);
      }),
    );
  });

  test.for<[number, bigint, number]>([
    [0, 0n, 0],
    [999.7, 1n, 0],
    [-1, -1n, 999_000_000],
    [-1_000, -1n, 0],
    [1_500, 1n, 500_000_000],
  ])("of %d ms", ([ms, seconds, nanos]) => {
    expect(timestampFromMs(ms)).toEqual(create(TimestampSchema, { seconds, nanos }));
  });

  test("is cut to the millisecond below", () => {
    expect(msFromTimestamp(create(TimestampSchema, { seconds: 1n, nanos: 999_999 }))).toBe(1_000);
    expect(msFromTimestamp(create(TimestampSchema, { seconds: -1n, nanos: 999_999_999 }))).toBe(-1);
    expect(msFromTimestamp(undefined)).toBeUndefined();
  });
});

describe("a duration", () => {
  test("gives back its milliseconds", () => {
    fc.assert(
      fc.property(lengths, (ms) => {
        expect(msFromDuration(durationFromMs(ms))).toBe(ms);
      }),
    );
  });

  test("has seconds and nanos of one sign, and less than a second of nanos", () => {
    fc.assert(
      fc.property(fc.oneof(lengths, fractions), (ms) => {
        const { seconds, nanos } = durationFromMs(ms);
        expect(Math.abs(nanos)).toBeLessThan(1e9);
        expect(Number(seconds) * nanos).toBeGreaterThanOrEqual(0);
        expect(Math.abs(msFromDuration(durationFromMs(ms)) - ms)).toBeLessThanOrEqual(0.5);
      }),
    );
  });

  test.for<[number, bigint, number]>([
    [0, 0n, 0],
    [999.7, 1n, 0],
    [-999.7, -1n, 0],
    [-1_500, -1n, -500_000_000],
    [-1, 0n, -1_000_000],
  ])("of %d ms", ([ms, seconds, nanos]) => {
    expect(durationFromMs(ms)).toEqual(create(DurationSchema, { seconds, nanos }));
  });

  test("keeps what is less than a millisecond when it is read", () => {
    expect(msFromDuration(create(DurationSchema, { nanos: 1 }))).toBe(0.000_001);
    expect(msFromDuration(create(DurationSchema, { seconds: -1n, nanos: -500_000 }))).toBe(-1_000.5);
    expect(msFromDuration(undefined)).toBeUndefined();
  });
});
