// When a server wants to be asked again.
import { expect, test } from "vitest";
import { readRetryAfter } from "../../../lib/outbound/retry-after.ts";

const NOW = Date.parse("2026-01-01T00:00:00Z");

test.for<[string | undefined, number | undefined]>([
  ["0", 0],
  ["120", 120_000],
  [" 5 ", 5_000],
  ["999999999", 999_999_999_000],
  ["Thu, 01 Jan 2026 00:01:00 GMT", 60_000],
  ["Thursday, 01-Jan-26 00:01:00 GMT", 60_000],
  ["Wed, 31 Dec 2025 00:00:00 GMT", 0],
  [undefined, undefined],
  ["", undefined],
  ["soon", undefined],
  ["-1", undefined],
  ["1.5", undefined],
  ["1e3", undefined],
  ["9999999999", undefined],
  ["2026-01-01", undefined],
  ["Thu, nonsense", undefined],
])("%j is a wait of %j ms", ([value, wait]) => {
  expect(readRetryAfter(value, NOW)).toBe(wait);
});
