// Whether what a consumer counts can be relied upon.
import { expect, test } from "vitest";
import { type CountedDelivery, LaneTrust } from "../../../sdk/agent/lane-trust.ts";

/** A first delivery, of a message that stands as far in the stream as it does in the consumer's count. */
function first(consumer: string, consumerSequence: number, sequence: number = consumerSequence): CountedDelivery {
  return { consumer, consumerSequence, sequence, deliveries: 1 };
}

test("a consumer that counts on is trusted, with the gaps that other agents' deliveries leave", () => {
  const trust = new LaneTrust();
  expect([1, 2, 7, 8].map((sequence) => trust.trusts(first("a", sequence)))).toEqual([true, true, true, true]);
});

test("a consumer that counts anew is not trusted until a new session tells of it", () => {
  const trust = new LaneTrust();
  trust.trusts(first("a", 7));
  trust.trusts(first("b", 7));
  expect([trust.trusts(first("a", 1)), trust.trusts(first("a", 8)), trust.trusts(first("b", 8))]).toEqual([
    false,
    false,
    true,
  ]);
  expect(trust.sinceMs("a")).toBe(Infinity);
  trust.renewed(5_000);
  expect([trust.trusts(first("a", 9)), trust.sinceMs("a"), trust.sinceMs("b")]).toEqual([true, 5_000, 0]);
});

test("a consumer that was away is not trusted when it is back", () => {
  const trust = new LaneTrust();
  trust.doubt("a");
  expect([trust.sinceMs("a"), trust.trusts(first("a", 1)), trust.sinceMs("b")]).toEqual([Infinity, false, 0]);
});

test("a consumer that goes back to older messages for the first time is not trusted, however far it has counted", () => {
  const trust = new LaneTrust();
  expect(trust.trusts(first("a", 5, 50))).toBe(true);
  // It was made again, and has delivered six messages to others.
  expect(trust.trusts(first("a", 7, 50))).toBe(false);
  trust.renewed(5_000);
  expect(trust.trusts(first("a", 8, 60))).toBe(true);
});

test("a message that comes again is as old as it is", () => {
  const trust = new LaneTrust();
  trust.trusts(first("a", 5, 50));
  expect(trust.trusts({ consumer: "a", consumerSequence: 6, sequence: 40, deliveries: 2 })).toBe(true);
  expect(trust.trusts(first("a", 7, 51))).toBe(true);
});
