import { expect, test } from "vitest";
import { RecentDeliveries } from "../../../sdk/agent/recent-deliveries.ts";
import type { DeliverySubject } from "../../../lib/wire/subjects.ts";

const REMEMBERED = 10_000;

function delivery(consumerSequence: number, consumer = "c", pending = 7): [DeliverySubject, string] {
  const facts = { stream: "S", consumer, deliveries: 1, sequence: consumerSequence + 100, storedMs: 0, pending };
  return [{ ...facts, consumerSequence }, `$JS.ACK.S.${consumer}.1.${facts.sequence}.${consumerSequence}.0.${pending}`];
}

function recentAfter(...sequences: readonly number[]): RecentDeliveries {
  const recent = new RecentDeliveries();
  for (const sequence of sequences) expect(recent.isNew(...delivery(sequence))).toBe(true);
  return recent;
}

test("a delivery is new once", () => {
  const recent = recentAfter(1, 2, 3);
  for (const sequence of [1, 2, 3]) expect(recent.isNew(...delivery(sequence))).toBe(false);
  expect(recent.isNew(...delivery(4))).toBe(true);
});

test("consumers number their deliveries each for itself", () => {
  const recent = recentAfter(1, 2);
  expect(recent.isNew(...delivery(1, "other"))).toBe(true);
  expect(recent.isNew(...delivery(1, "other"))).toBe(false);
});

test("a delivery that comes out of order is new, once", () => {
  const recent = recentAfter(5, 3, 9, 4);
  for (const sequence of [3, 4, 5, 9]) expect(recent.isNew(...delivery(sequence))).toBe(false);
});

test("numbers that start anew are new ones, and those of before are still known", () => {
  const recent = recentAfter(1, 2, 3);
  for (const sequence of [1, 2, 3]) {
    expect(recent.isNew(...delivery(sequence, "c", 8))).toBe(true);
    expect(recent.isNew(...delivery(sequence, "c", 8))).toBe(false);
    expect(recent.isNew(...delivery(sequence))).toBe(false);
  }
});

test("the last ten thousand are remembered, also after numbers started anew", () => {
  const recent = new RecentDeliveries();
  expect(recent.isNew(...delivery(1_000_000))).toBe(true);
  for (let sequence = 1; sequence <= REMEMBERED + 1; sequence++) expect(recent.isNew(...delivery(sequence))).toBe(true);
  for (let sequence = 2; sequence <= REMEMBERED + 1; sequence++)
    expect(recent.isNew(...delivery(sequence))).toBe(false);
  // The first two have made room.
  expect(recent.isNew(...delivery(1))).toBe(true);
  expect(recent.isNew(...delivery(1_000_000))).toBe(true);
});
