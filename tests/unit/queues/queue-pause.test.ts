import { expect, test } from "vitest";
import { isPaused, pausedAnew } from "../../../lib/core/queue-pause.ts";
import { pauseFromWire, pauseToWire } from "../../../lib/wire/queue-codec.ts";

test.for([
  ["one without a pause is not", undefined, false],
  ["one without an end is", { sinceMs: 0, untilMs: undefined, reason: "" }, true],
  ["one that ends later is", { sinceMs: 0, untilMs: 11, reason: "" }, true],
  ["one that ends now is not", { sinceMs: 0, untilMs: 10, reason: "" }, false],
] as const)("of queues, %s paused", ([, pause, paused]) => {
  expect(isPaused(pause, 10)).toBe(paused);
});

test.for([
  ["begins now where none stands", undefined, 10],
  ["goes on where one stands", { sinceMs: 5, untilMs: undefined, reason: "old" }, 5],
  ["begins now where the last one is over", { sinceMs: 5, untilMs: 9, reason: "old" }, 10],
] as const)("a further pause %s", ([, standing, sinceMs]) => {
  expect(pausedAnew(standing, { untilMs: 20, reason: "new" }, 10)).toEqual({ sinceMs, untilMs: 20, reason: "new" });
});

test("a pause is kept as it is, and what is none is read as none", () => {
  for (const pause of [
    { sinceMs: 1_234, untilMs: 5_678, reason: "why" },
    { sinceMs: 1_234, untilMs: undefined, reason: "" },
  ]) {
    expect(pauseFromWire(pauseToWire(pause))).toEqual(pause);
  }
  const bad = pauseToWire({ sinceMs: 0, untilMs: 1, reason: "" });
  expect(pauseFromWire(undefined)).toBeUndefined();
  expect(pauseFromWire({ ...bad, pauseTime: undefined })).toBeUndefined();
  expect(pauseFromWire({ ...bad, pauseTime: { ...bad.pauseTime!, nanos: -1 } })).toBeUndefined();
  expect(pauseFromWire({ ...bad, untilTime: { ...bad.untilTime!, seconds: 2n ** 60n } })).toBeUndefined();
});
