// How long a receiver asks to be left alone.
import { expect, test } from "vitest";
import { retryAfterMs } from "../../../lib/wire/retry-after.ts";

const NOW = Date.parse("2026-03-01T12:00:00Z");

test.for([
  ["120", 120_000],
  [" 0 ", 0],
  ["Sun, 01 Mar 2026 12:01:00 GMT", 60_000],
  ["Sun, 01 Mar 2026 11:00:00 GMT", 0],
  ["Sunday, 01-Mar-26 12:01:00 GMT", 60_000],
  ["", undefined],
  [undefined, undefined],
  ["soon", undefined],
  ["-5", undefined],
  ["1.5", undefined],
  ["99999999999", undefined],
] as const)("%j asks for %s ms", ([header, expected]) => {
  expect(retryAfterMs(header, NOW)).toBe(expected);
});
