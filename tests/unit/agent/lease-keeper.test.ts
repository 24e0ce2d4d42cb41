import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LeaseKeeper, type Watched } from "../../../sdk/agent/lease-keeper.ts";

let nowMs = 0;
const clock = { now: () => nowMs, monotonicMs: () => nowMs };

beforeEach(() => {
  nowMs = 0;
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function pass(ms: number): void {
  for (let left = ms; left > 0; left--) {
    nowMs += 1;
    vi.advanceTimersByTime(1);
  }
}

function watched(everyMs: number): Watched & { readonly at: number[] } {
  const item = {
    dueMs: nowMs + everyMs,
    at: [] as number[],
    onDue(now: number): void {
      item.at.push(now);
      item.dueMs = now + everyMs;
    },
  };
  return item;
}

test("everything watched is woken when it is due, within the grain", () => {
  const keeper = new LeaseKeeper(clock, 1_000);
  const [fast, slow] = [watched(20), watched(90)];
  keeper.watch(slow);
  keeper.watch(fast);
  pass(200);
  expect(slow.at[0]).toBeGreaterThanOrEqual(90);
  expect(slow.at[0]).toBeLessThanOrEqual(95);
  expect(fast.at.length).toBeGreaterThanOrEqual(8);
  for (const [at, time] of fast.at.entries()) expect(time - (fast.at[at - 1] ?? 0)).toBeLessThanOrEqual(25);
  keeper.unwatch(fast);
  const seen = fast.at.length;
  pass(100);
  expect(fast.at).toHaveLength(seen);
  keeper.close();
});

test("a moment that moves forward is kept", () => {
  const keeper = new LeaseKeeper(clock, 10_000);
  const item = watched(900);
  keeper.watch(item);
  pass(10);
  item.dueMs = 30;
  keeper.touch(item);
  pass(25);
  expect(item.at).toHaveLength(1);
  keeper.close();
});

test("a standstill is noticed before and after the timer fires, and forgotten a second later", () => {
  const keeper = new LeaseKeeper(clock, 500);
  pass(1_000);
  expect(keeper.stalled(nowMs)).toBe(false);
  nowMs += 600;
  expect(keeper.stalled(nowMs)).toBe(true);
  pass(300);
  expect(keeper.stalled(nowMs)).toBe(true);
  pass(1_000);
  expect(keeper.stalled(nowMs)).toBe(false);
  keeper.close();
});

test("a closed keeper leaves no timer behind", () => {
  const keeper = new LeaseKeeper(clock, 500);
  keeper.watch(watched(10));
  keeper.close();
  expect(vi.getTimerCount()).toBe(0);
});
