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
  trust.renewed();
  expect([trust.trusts("a", 9), trust.doubts("a")]).toEqual([true, false]);
});

test("a consumer that was away is not trusted when it is back", () => {
  const trust = new LaneTrust();
  trust.doubt("a");
  expect([trust.doubts("a"), trust.trusts("a", 1), trust.doubts("b")]).toEqual([true, false, false]);
});
