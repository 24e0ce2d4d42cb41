// So many points a minute for each, whoever else comes, and however many there are.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MinuteLimit } from "../../../services/coordinator/limits/minute-limit.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

async function takes(limit: MinuteLimit, key: string, times: number, points = 1): Promise<(number | undefined)[]> {
  const found: (number | undefined)[] = [];
  for (let i = 0; i < times; i += 1) found.push(await limit.take(key, points));
  return found;
}

test("lets so many pass in a minute, and says when the next may come", async () => {
  const limit = new MinuteLimit(3);
  expect(await takes(limit, "a", 3)).toEqual([undefined, undefined, undefined]);
  vi.advanceTimersByTime(20_000);
  expect(await limit.take("a")).toBe(40_000);
  expect(await limit.take("b")).toBeUndefined();
  vi.advanceTimersByTime(40_000);
  expect(await takes(limit, "a", 4)).toEqual([undefined, undefined, undefined, 60_000]);
});

test("what is refused is not counted, so that less may still pass", async () => {
  const limit = new MinuteLimit(10);
  expect(await limit.take("a", 6)).toBeUndefined();
  expect(await takes(limit, "a", 5, 6)).toEqual([60_000, 60_000, 60_000, 60_000, 60_000]);
  expect(await limit.take("a", 4)).toBeUndefined();
  expect(await limit.take("a")).toBe(60_000);
});

test("more than a minute has never passes, and takes nothing", async () => {
  const limit = new MinuteLimit(10);
  expect(await limit.take("a", 11)).toBeGreaterThan(0);
  expect(await limit.take("a", 10)).toBeUndefined();
});

test("remembers a bounded number of keys, and forgets them with their minute", async () => {
  const limit = new MinuteLimit(2, 1_000);
  for (let i = 0; i < 50_000; i += 1) await limit.take(`k${i}`);
  expect(limit.size).toBe(1_000);
  expect(vi.getTimerCount()).toBeLessThan(1_010);
  vi.advanceTimersByTime(60_000);
  expect(limit.size).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test("a crowd of addresses shares what is left, and leaves those who are known alone", async () => {
  const limit = new MinuteLimit(5, 10);
  for (let i = 0; i < 10; i += 1) await limit.take(`known${i}`);
  let passed = 0;
  for (let i = 0; i < 10_000; i += 1) passed += (await limit.take(`crowd${i}`)) === undefined ? 1 : 0;
  expect(passed).toBe(50);
  expect(await takes(limit, "known3", 5)).toEqual([undefined, undefined, undefined, undefined, 60_000]);
});

test("a key that was refused in the crowd has its own count once there is room", async () => {
  const limit = new MinuteLimit(1, 1);
  await limit.take("first");
  expect(await takes(limit, "late", 11)).toEqual([...Array.from({ length: 10 }, () => undefined), 60_000]);
  vi.advanceTimersByTime(60_000);
  expect(await takes(limit, "late", 2)).toEqual([undefined, 60_000]);
});
