// What a call may take when its caller, and the attempt in whose name it is made, have limits.
import { expect, test } from "vitest";
import { limitsOf, streamLimitsOf } from "../../../../sdk/client/resilience/call-limits.ts";

const NOW_MS = 1_000_000;
const attempt = (leftMs: number, signal = new AbortController().signal) => ({
  signal,
  deadline: new Date(NOW_MS + leftMs),
});

test("a call without limits of its own has none but its client's", () => {
  expect(limitsOf({}, 30_000, NOW_MS)).toEqual({});
  const { signal } = new AbortController();
  expect(limitsOf({ signal }, 30_000, NOW_MS)).toEqual({ signal });
});

test.for<[string, Parameters<typeof limitsOf>[0], number]>([
  ["its own limit", { timeoutMs: 500 }, 500],
  ["its attempt's, where that is shorter", { timeoutMs: 500, ctx: attempt(200) }, 200],
  ["its own, where that is shorter", { timeoutMs: 100, ctx: attempt(200) }, 100],
  ["its client's, where its attempt has longer", { ctx: attempt(60_000) }, 30_000],
  ["its attempt's, where its client allows more", { ctx: attempt(400) }, 400],
])("a call has %s", ([, options, timeoutMs]) => {
  expect(limitsOf(options, 30_000, NOW_MS).timeoutMs).toBe(timeoutMs);
});

test("a call ends with its caller's signal and with its attempt's", () => {
  const caller = new AbortController();
  const stopped = new AbortController();
  const { signal } = limitsOf({ signal: caller.signal, ctx: attempt(500, stopped.signal) }, 30_000, NOW_MS);
  stopped.abort("lease lost");
  expect(signal?.reason).toBe("lease lost");
});

test("no call is made in the name of an attempt that is over", () => {
  expect(() => limitsOf({ ctx: attempt(0) }, 30_000, NOW_MS)).toThrow(
    expect.objectContaining({ code: "deadline_exceeded" }),
  );
});

test.for([0, -1, 86_400_001, Number.NaN])("refuses %d as a limit", (timeoutMs) => {
  expect(() => limitsOf({ timeoutMs }, 30_000, NOW_MS)).toThrow(
    `timeoutMs must be from 1 to 86400000, got ${timeoutMs}`,
  );
});

test("a stream has no limit unless somebody says so, and each connection gets what is left of it", () => {
  expect(streamLimitsOf({}, () => NOW_MS).remaining()).toEqual({});
  let nowMs = NOW_MS;
  const { remaining, signal } = streamLimitsOf({ ctx: attempt(60_000) }, () => nowMs);
  nowMs += 20_000;
  expect(remaining()).toEqual({ timeoutMs: 40_000 });
  expect(signal?.aborted).toBe(false);
});
