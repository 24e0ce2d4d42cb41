// However refusals come, every one is counted in some entry, and the entries are few.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { AuditEvent } from "../../../services/coordinator/audit/audit-log.ts";
import { RefusalBook, type RefusalBookOptions } from "../../../services/coordinator/audit/refusal-book.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

interface Told {
  readonly event: AuditEvent;
  readonly count: number;
}

function aBook(options: Partial<RefusalBookOptions> = {}): { readonly book: RefusalBook; readonly told: Told[] } {
  const told: Told[] = [];
  const tell = (event: AuditEvent, count: number): void => void told.push({ event, count });
  return { book: new RefusalBook({ monotonicMs: () => performance.now(), tell, ...options }), told };
}

function refusal(change: Partial<AuditEvent> = {}): AuditEvent {
  return {
    peer: "10.0.0.1",
    action: "task:submit",
    method: "Submit",
    refusal: "CREDENTIAL_INVALID: expired",
    ...change,
  };
}

const sum = (told: readonly Told[]): number => told.reduce((all, { count }) => all + count, 0);

test("the first refusal of a kind is told at once, and those like it together, once a window", () => {
  const { book, told } = aBook();
  for (let i = 0; i < 1_000; i += 1) book.add(refusal({ resource: { type: "x", name: `made up ${i}` } }));
  expect(told.map(({ count }) => count)).toEqual([1]);
  vi.advanceTimersByTime(10_000);
  expect(told.map(({ count }) => count)).toEqual([1, 999]);
  for (let i = 0; i < 5; i += 1) book.add(refusal());
  vi.advanceTimersByTime(10_000);
  expect(told.map(({ count }) => count)).toEqual([1, 999, 5]);
});

test("a kind that pauses for a window is told at once again", () => {
  const { book, told } = aBook();
  book.add(refusal());
  vi.advanceTimersByTime(10_000);
  expect(vi.getTimerCount()).toBe(0);
  book.add(refusal());
  expect(told.map(({ count }) => count)).toEqual([1, 1]);
});

test.for<Partial<AuditEvent>>([
  { peer: "10.0.0.2" },
  { method: "Other" },
  { action: "key:admin" },
  { refusal: "CREDENTIAL_INVALID: bad signature" },
  { principal: { kind: "token", id: "ann", tenant: "acme" } },
])("a refusal with another %j is another kind", (change) => {
  const { book, told } = aBook();
  book.add(refusal());
  book.add(refusal(change));
  expect(told).toHaveLength(2);
});

test("a million refusals of a million kinds come to a bounded number of entries, and all are counted", () => {
  const { book, told } = aBook();
  let sent = 0;
  for (let second = 0; second < 100; second += 1) {
    for (let i = 0; i < 10_000; i += 1) book.add(refusal({ peer: `2001:db8::${(sent += 1).toString(16)}` }));
    vi.advanceTimersByTime(1_000);
  }
  book.close();
  expect(sum(told)).toBe(1_000_000);
  // 200 at once, one a second, and one for all others of a window.
  expect(told.length).toBeLessThan(200 + 100 + 20);
});

test("reasons and tenants that somebody makes up do not fill it either", () => {
  const { book, told } = aBook({ burst: 0 });
  for (let i = 0; i < 10_000; i += 1) book.add(refusal({ tenant: `t${i}`, refusal: `R${i}: x` }));
  book.close();
  expect(told).toHaveLength(65);
  expect(sum(told)).toBe(10_000);
});

test("what is counted is told when the log is closed", () => {
  const { book, told } = aBook();
  for (let i = 0; i < 10; i += 1) book.add(refusal());
  book.close();
  expect(sum(told)).toBe(10);
  expect(vi.getTimerCount()).toBe(0);
});
