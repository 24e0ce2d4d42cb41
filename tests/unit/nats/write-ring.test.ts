import { once } from "node:events";
import { Worker } from "node:worker_threads";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import { RecentWrites } from "../../../lib/nats/recent-writes.ts";
import type { StreamMessage } from "../../../lib/nats/stream-publisher.ts";
import { WriteRingReader, writeRingMemory, WriteRingWriter } from "../../../lib/nats/write-ring.ts";

const now = (): number => 1_000;

interface Ends {
  readonly writer: WriteRingWriter;
  readonly reader: WriteRingReader;
}

function ends(bytes: number): Ends {
  const memory = writeRingMemory(bytes);
  return {
    writer: new WriteRingWriter(memory, now),
    reader: new WriteRingReader(memory, new RecentWrites(now)),
  };
}

function message(name: number, size: number): StreamMessage {
  return { subject: `task.default.t${name}.e`, body: new Uint8Array(size).fill(name % 251), expected: name };
}

/** A message as it comes out. */
const comesAs = (sequence: number, size: number): StoredMessage => ({
  subject: `task.default.t${sequence}.e`,
  sequence,
  storeMs: 1_000,
  body: new Uint8Array(size).fill(sequence % 251),
  traceparent: "",
  tracestate: "",
  expected: sequence,
});

const plain = (messages: readonly StoredMessage[]): StoredMessage[] =>
  messages.map((each) => ({ ...each, body: new Uint8Array(each.body) }));

describe("a ring of writes", () => {
  test("hands everything of a message over as it stands in the log", () => {
    const { writer, reader } = ends(4_096);
    using _kept = reader.keep();
    const headers = { traceparent: "00-a-b-01", tracestate: "vendor=\u00e9" };
    writer.stored([{ subject: "task.default.a.q.echo.5", body: Buffer.from("one"), headers }, message(8, 0)], 8);
    const [first, second] = plain(reader.after(6, 10));
    expect(first).toEqual({
      subject: "task.default.a.q.echo.5",
      sequence: 7,
      storeMs: 1_000,
      body: new Uint8Array(Buffer.from("one")),
      traceparent: "00-a-b-01",
      tracestate: "vendor=\u00e9",
      expected: undefined,
    });
    expect(second).toEqual(comesAs(8, 0));
  });

  test("loses nothing and mixes nothing up wherever it turns, as long as there is room", () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.nat(400), { maxLength: 6 }), { maxLength: 60 }), (rounds) => {
        const { writer, reader } = ends(4_096);
        using _kept = reader.keep();
        let last = 0;
        for (const sizes of rounds) {
          const from = last;
          for (const size of sizes) {
            last += 1;
            writer.stored([message(last, size)], last);
          }
          expect(plain(reader.after(from, 10))).toEqual(sizes.map((size, i) => comesAs(from + 1 + i, size)));
        }
      }),
    );
  });

  test("leaves out what finds no room, and never spoils what waits to be read", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ size: fc.nat(1_500), read: fc.boolean() }), { maxLength: 80 }), (steps) => {
        const { writer, reader } = ends(2_048);
        using _kept = reader.keep();
        let begun = 0;
        for (const [i, { size, read }] of steps.entries()) {
          const sequence = i + 1;
          writer.stored([message(sequence, size)], sequence);
          if (!read) continue;
          for (let after = begun; after < sequence; after += 1) {
            for (const each of plain(reader.after(after, 1))) {
              expect(each).toEqual(comesAs(each.sequence, steps[each.sequence - 1]!.size));
            }
          }
          begun = sequence;
          // An emptied ring has room again, for all that fits into a half of it.
          writer.stored([message(sequence, 700)], sequence);
          expect(plain(reader.after(sequence - 1, 1))).toEqual([comesAs(sequence, 700)]);
        }
      }),
    );
  });

  test("takes nothing while nobody wants it, and forgets what was left when somebody does again", () => {
    const { writer, reader } = ends(4_096);
    writer.stored([message(1, 10)], 1);
    const first = reader.keep();
    writer.stored([message(2, 10)], 2);
    first[Symbol.dispose]();
    writer.stored([message(3, 10)], 3);
    using _second = reader.keep();
    writer.stored([message(4, 10)], 4);
    expect(reader.beginsWithin(0, 3)).toBe(false);
    expect(plain(reader.after(3, 10))).toEqual([comesAs(4, 10)]);
  });

  test("takes nothing of other streams", () => {
    const { writer, reader } = ends(4_096);
    using _kept = reader.keep();
    writer.stored([{ subject: "out.default.t1.a.1", body: new Uint8Array(1) }], 1);
    expect(reader.beginsWithin(0, 1)).toBe(false);
  });

  test("carries what another thread writes meanwhile", { timeout: 30_000 }, async () => {
    const count = 50_000;
    const memory = writeRingMemory(64 * 1_024);
    const reader = new WriteRingReader(memory, new RecentWrites(now));
    using _kept = reader.keep();
    const writing = new Worker(
      `const { workerData: { memory, count, ring } } = require("node:worker_threads");
       import(ring).then(({ WriteRingWriter }) => {
         const writer = new WriteRingWriter(memory, () => 1000);
         for (let i = 1; i <= count; i += 1) {
           const body = new Uint8Array(i % 300).fill(i % 251);
           writer.stored([{ subject: "task.default.t" + i + ".e", body, expected: i }], i);
         }
       });`,
      {
        eval: true,
        workerData: { memory, count, ring: new URL("../../../lib/nats/write-ring.ts", import.meta.url).href },
      },
    );
    let ended = false;
    const end = once(writing, "exit").then(() => {
      ended = true;
    });
    let seen = 0;
    for (let position = 0; position < count;) {
      // What had come before the writer ended is all there is.
      const last = ended;
      const [first] = plain(reader.after(position, 1));
      if (first !== undefined) {
        expect(first).toEqual(comesAs(position + 1, (position + 1) % 300));
        seen += 1;
        position += 1;
      } else if (reader.beginsWithin(position, count)) {
        position += 1;
      } else if (last) {
        break;
      } else {
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
    }
    await end;
    expect(seen).toBeGreaterThan(100);
  });

  test("has a size that its records fit into", () => {
    expect(() => writeRingMemory(1_023)).toThrow("must be a multiple of 8 from 1024 on, are 1023");
  });
});
