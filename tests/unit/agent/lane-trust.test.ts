// Whether what a consumer counts can be relied upon.
import { expect, test } from "vitest";
import { LaneTrust } from "../../../sdk/agent/lane-trust.ts";

test("a consumer that counts on is trusted, with the gaps that other agents' deliveries leave", () => {
  const trust = new LaneTrust();
  expect([1, 2, 7, 8].map((sequence) => trust.trusts("a", sequence))).toEqual([true, true, true, true]);
});

test("a consumer that counts anew is not trusted until a new session tells of it", () => {
  const trust = new LaneTrust();
  trust.trusts("a", 7);
  trust.trusts("b", 7);
  expect([trust.trusts("a", 1), trust.trusts("a", 8), trust.trusts("b", 8)]).toEqual([false, false, true]);
  expect(trust.sinceMs("a")).toBe(Infinity);
  trust.renewed(5_000);
  expect([trust.trusts("a", 9), trust.sinceMs("a"), trust.sinceMs("b")]).toEqual([true, 5_000, 0]);
});

test("a consumer that was away is not trusted when it is back", () => {
  const trust = new LaneTrust();
  trust.doubt("a");
  expect([trust.sinceMs("a"), trust.trusts("a", 1), trust.sinceMs("b")]).toEqual([Infinity, false, 0]);
});
