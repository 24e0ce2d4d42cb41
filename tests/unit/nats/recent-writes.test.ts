import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RecentWrites } from "../../../lib/nats/recent-writes.ts";
import type { StreamMessage } from "../../../lib/nats/stream-publisher.ts";

const message = (name: number, size = 1): StreamMessage => ({
  subject: `task.default.t${name}.e`,
  body: new Uint8Array(size),
  expected: 0,
});

function keeping(): RecentWrites & Disposable {
  const recent = new RecentWrites(() => 1_000);
  const kept = recent.keep();
  return Object.assign(recent, { [Symbol.dispose]: () => kept[Symbol.dispose]() });
}

const sequencesAfter = (recent: RecentWrites, position: number, most = 1_000): number[] =>
  recent.after(position, most).map(({ sequence }) => sequence);

describe("recent writes", () => {
  test("are handed out as they stand in the log", () => {
    using recent = keeping();
    const headers = { traceparent: "00-a-b-01", tracestate: "" };
    recent.stored([message(1), { ...message(2), expected: 7, headers }], 12);
    const [first, second] = recent.after(10, 1_000);
    expect(first).toMatchObject({ subject: "task.default.t1.e", sequence: 11, storeMs: 1_000, traceparent: "" });
    expect(second).toMatchObject({ sequence: 12, expected: 7, traceparent: "00-a-b-01", tracestate: "" });
  });

  test("are told without a gap, whatever order they were acknowledged in", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 40 })),
        fc.nat(40),
        fc.integer({ min: 1, max: 40 }),
        (sequences, position, most) => {
          using recent = keeping();
          for (const sequence of sequences) recent.stored([message(sequence)], sequence);
          const expected: number[] = [];
          while (sequences.includes(position + expected.length + 1) && expected.length < most) {
            expected.push(position + expected.length + 1);
          }
          expect(sequencesAfter(recent, position, most)).toEqual(expected);
          // The same again: what was handed out may have to be handed out once more.
          expect(sequencesAfter(recent, position, most)).toEqual(expected);
        },
      ),
    );
  });

  test("are said to begin within reach or not", () => {
    using recent = keeping();
    expect(recent.beginsWithin(0, 10)).toBe(false);
    recent.stored([message(11)], 11);
    expect(recent.beginsWithin(0, 10)).toBe(false);
    expect(recent.beginsWithin(1, 10)).toBe(true);
    recent.after(11, 10);
    expect(recent.beginsWithin(11, 10)).toBe(false);
  });

  test("are forgotten once they were passed", () => {
    using recent = keeping();
    for (const sequence of [1, 2, 3]) recent.stored([message(sequence)], sequence);
    expect(sequencesAfter(recent, 3)).toEqual([]);
    expect(recent.beginsWithin(0, Infinity)).toBe(false);
  });

  test("are not kept while nobody follows the log, nor for who follows another one", () => {
    const recent = new RecentWrites(() => 0);
    recent.stored([message(1)], 1);
    const kept = recent.keep();
    expect(sequencesAfter(recent, 0)).toEqual([]);
    recent.stored([message(1)], 1);
    kept[Symbol.dispose]();
    recent.keep();
    expect(sequencesAfter(recent, 0)).toEqual([]);
  });

  test("of other streams are left out", () => {
    using recent = keeping();
    recent.stored([{ subject: "out.default.t.agent.1", body: new Uint8Array() }], 1);
    recent.stored([{ subject: "timer.set.default.t.dispatch", body: new Uint8Array() }], 2);
    expect(recent.beginsWithin(0, Infinity)).toBe(false);
  });

  test("are not kept beyond 32 MiB, until there is room again", () => {
    using recent = keeping();
    const size = 1024 * 1024;
    for (let sequence = 1; sequence <= 40; sequence += 1) recent.stored([message(sequence, size)], sequence);
    expect(sequencesAfter(recent, 0)).toHaveLength(32);
    expect(sequencesAfter(recent, 40)).toEqual([]);
    recent.stored([message(41)], 41);
    expect(sequencesAfter(recent, 40)).toEqual([41]);
  });
});
