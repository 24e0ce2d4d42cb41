// Durations as people write and read them.
import { expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../../cli/duration.ts";

test.for<[string, number | undefined]>([
  ["500ms", 500],
  ["5s", 5000],
  ["1.5m", 90_000],
  [" 2h ", 7_200_000],
  ["1d", 86_400_000],
  ["0s", 0],
  ["5", undefined],
  ["s", undefined],
  ["-5s", undefined],
  ["5 s", undefined],
  ["5S", undefined],
  ["1e3s", undefined],
  ["5sec", undefined],
  ["5constructor", undefined],
  ["", undefined],
])("%o is %o milliseconds", ([text, ms]) => expect(parseDuration(text)).toBe(ms));

test.for<[number, string]>([
  [-5, "0ms"],
  [0.4, "0ms"],
  [999, "999ms"],
  [59_999, "59s"],
  [60_000, "1m"],
  [3_599_999, "59m"],
  [3_600_000, "1h"],
  [172_799_999, "47h"],
  [172_800_000, "2d"],
])("%o milliseconds read %o", ([ms, text]) => expect(formatDuration(ms)).toBe(text));
