import { describe, expect, test } from "vitest";
import { compare, growthPerHour } from "../../soak/verdict.ts";

describe("what is compared at rest", () => {
  test.for([
    ["heap after gc", 30_000_000, 37_000_000, true],
    ["heap after gc", 30_000_000, 38_000_000, false],
    ["handles", 12, 16, true],
    ["handles", 12, 17, false],
    ["consumers", 32, 32, true],
    ["consumers", 32, 33, false],
    ["rss", 100_000_000, 150_000_000, true],
    ["rss", 100_000_000, 250_000_000, false],
  ] as const)("%s from %i to %i: %s", ([resource, before, after, returned]) => {
    expect(compare({ agent: { [resource]: before } }, { agent: { [resource]: after } })).toMatchObject([{ returned }]);
  });

  test("is only what has a bound, of processes that were there before", () => {
    const after = { agent: { stored: 5, rss: 1 }, newcomer: { rss: 1 } };
    expect(compare({ agent: { stored: 1, rss: 1 } }, after)).toMatchObject([{ process: "agent", resource: "rss" }]);
  });
});

test("growth is by the hour, and none for a level line or a single point", () => {
  const points = [0, 60, 120, 180].map((second) => ({ second, value: 1_000 + second * 10 }));
  expect(growthPerHour(points)).toBeCloseTo(36_000);
  expect(growthPerHour(points.map(({ second }) => ({ second, value: 7 })))).toBe(0);
  expect(growthPerHour(points.slice(0, 1))).toBe(0);
});
