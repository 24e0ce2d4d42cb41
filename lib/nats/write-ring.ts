// Carries what one thread has stored in the log of tasks to the thread that keeps the index: a ring in shared memory, written by one
// thread and read by one other.
//
// A write costs 1 µs, no wake-up and nothing for the writer's garbage collector; a message between threads costs 20, and objects that wait
// for their reader grow old in the heap. Nobody waits: what finds no room is left out, and the reader reads it from the log.

import { TRACEPARENT, TRACESTATE } from "../wire/headers.ts";
import type { StoredMessage } from "./direct-reader.ts";
import { isOfTasks, RecentWrites } from "./recent-writes.ts";
import type { StreamMessage } from "./stream-publisher.ts";

/** Room in bytes, by default: more than is stored between two looks of an index, even of inputs of 16 KiB. */
const DEFAULT_BYTES = 8 * 1024 * 1024;

/** Where in the head the two offsets and the wish stand; in cache lines of their own, for they are written by different threads. */
const READ = 0;
const WRITTEN = 16;
const WANTED = 32;
const HEAD_BYTES = 48 * Int32Array.BYTES_PER_ELEMENT;

/** The numbers at the front of a record, 8 bytes each: of bytes in all, sequence, time, expectation, and the lengths of four parts. */
const NUMBERS = 8;
const NUMBER_BYTES = 8;
/** Stands for an expectation that was not made. */
const NOT_EXPECTED = -1;
/** Instead of a record's length: what follows stands at the beginning. */
const TURNED = 0;

/** Makes the memory of a ring. */
export function writeRingMemory(bytes: number = DEFAULT_BYTES): SharedArrayBuffer {
  if (!Number.isInteger(bytes) || bytes < 1024 || bytes % NUMBER_BYTES !== 0) {
    throw new RangeError(`the bytes of a ring must be a multiple of ${NUMBER_BYTES} from 1024 on, are ${bytes}`);
  }
  return new SharedArrayBuffer(HEAD_BYTES + bytes);
}

/** What both ends see of the memory. */
class Ring {
  readonly head: Int32Array;
  readonly numbers: Float64Array;
  readonly bytes: Buffer;

  constructor(memory: SharedArrayBuffer) {
    this.head = new Int32Array(memory, 0, HEAD_BYTES / Int32Array.BYTES_PER_ELEMENT);
    this.numbers = new Float64Array(memory, HEAD_BYTES);
    this.bytes = Buffer.from(memory, HEAD_BYTES);
  }
}

/** The end of the thread that stores. */
export class WriteRingWriter {
  readonly #ring: Ring;
  readonly #now: () => number;

  /** `now` gives the time of the broker in milliseconds since 1970. */
  constructor(memory: SharedArrayBuffer, now: () => number) {
    this.#ring = new Ring(memory);
    this.#now = now;
  }

  /** Takes note of messages that were stored one after the other, the last one under a sequence, if somebody wants them. */
  stored(messages: readonly StreamMessage[], last: number): void {
    if (Atomics.load(this.#ring.head, WANTED) === 0) return;
    const first = last - messages.length + 1;
    const storeMs = this.#now();
    for (const [i, message] of messages.entries()) {
      if (isOfTasks(message.subject)) this.#put(message, first + i, storeMs);
    }
  }

  #put({ subject, body, headers, expected }: StreamMessage, sequence: number, storeMs: number): void {
    const { head, numbers, bytes } = this.#ring;
    const traceparent = headers?.[TRACEPARENT] ?? "";
    const tracestate = headers?.[TRACESTATE] ?? "";
    const texts = subject.length + traceparent.length + tracestate.length;
    const size = NUMBERS * NUMBER_BYTES + Math.ceil((texts + body.length) / NUMBER_BYTES) * NUMBER_BYTES;
    const from = this.#room(size);
    if (from === undefined) return;
    let at = from / NUMBER_BYTES;
    numbers[at++] = size;
    numbers[at++] = sequence;
    numbers[at++] = storeMs;
    numbers[at++] = expected ?? NOT_EXPECTED;
    numbers[at++] = subject.length;
    numbers[at++] = traceparent.length;
    numbers[at++] = tracestate.length;
    numbers[at++] = body.length;
    let to = at * NUMBER_BYTES;
    // What stands in subjects and headers has one byte a character.
    to += bytes.write(subject, to, "latin1");
    if (traceparent !== "") to += bytes.write(traceparent, to, "latin1");
    if (tracestate !== "") to += bytes.write(tracestate, to, "latin1");
    bytes.set(body, to);
    const end = from + size;
    // Only now does the reader see it.
    Atomics.store(head, WRITTEN, end === bytes.length ? 0 : end);
  }

  /** Where so many bytes may be written; undefined if there is no room. The offsets are equal only in an empty ring. */
  #room(size: number): number | undefined {
    const { head, numbers, bytes } = this.#ring;
    const read = Atomics.load(head, READ);
    const written = Atomics.load(head, WRITTEN);
    if (written < read) return size < read - written ? written : undefined;
    const left = bytes.length - written;
    if (size < left || (size === left && read > 0)) return written;
    if (size >= read) return undefined;
    numbers[written / NUMBER_BYTES] = TURNED;
    return 0;
  }
}

/** The end of the thread that keeps the index: what the other one has stored and, if it is told, what this one has. */
export class WriteRingReader {
  readonly #ring: Ring;
  readonly #recent: RecentWrites;

  /** Takes what comes into `recent`, whose bound is then the bound of what waits beside the ring. */
  constructor(memory: SharedArrayBuffer, recent: RecentWrites) {
    this.#ring = new Ring(memory);
    this.#recent = recent;
  }

  /** Has the writer keep what it stores from now on, until disposal. One at a time. */
  keep(): Disposable {
    const { head } = this.#ring;
    // What was left over belongs to what was kept before.
    Atomics.store(head, READ, Atomics.load(head, WRITTEN));
    const kept = this.#recent.keep();
    Atomics.store(head, WANTED, 1);
    return {
      [Symbol.dispose]: () => {
        Atomics.store(head, WANTED, 0);
        kept[Symbol.dispose]();
      },
    };
  }

  /** As of RecentWrites. */
  beginsWithin(position: number, next: number): boolean {
    this.#take();
    return this.#recent.beginsWithin(position, next);
  }

  /** As of RecentWrites. */
  after(position: number, most: number): readonly StoredMessage[] {
    this.#take();
    return this.#recent.after(position, most);
  }

  #take(): void {
    const { head, bytes } = this.#ring;
    const written = Atomics.load(head, WRITTEN);
    for (let read = Atomics.load(head, READ); read !== written; Atomics.store(head, READ, read)) {
      const end = written < read ? bytes.length : written;
      this.#takeFrom(bytes.subarray(read, end));
      read = end === bytes.length ? 0 : end;
    }
  }

  /** Takes what stands in a stretch of the ring. It is copied as a whole, for the ring's bytes are soon others. */
  #takeFrom(stretch: Uint8Array): void {
    const bytes = Buffer.from(new ArrayBuffer(stretch.length));
    bytes.set(stretch);
    const numbers = new Float64Array(bytes.buffer);
    for (let from = 0; from < bytes.length;) {
      const size = numbers[from / NUMBER_BYTES] ?? TURNED;
      if (size === TURNED) return;
      this.#recent.add(messageAt(from, numbers, bytes));
      from += size;
    }
  }
}

function messageAt(from: number, numbers: Float64Array, bytes: Buffer): StoredMessage {
  const first = from / NUMBER_BYTES;
  const number = (i: number): number => numbers[first + i] ?? 0;
  const expected = number(3);
  let at = from + NUMBERS * NUMBER_BYTES;
  const text = (length: number): string => (length === 0 ? "" : bytes.toString("latin1", at, (at += length)));
  const subject = text(number(4));
  const traceparent = text(number(5));
  const tracestate = text(number(6));
  return {
    subject,
    sequence: number(1),
    storeMs: number(2),
    body: bytes.subarray(at, at + number(7)),
    traceparent,
    tracestate,
    expected: expected === NOT_EXPECTED ? undefined : expected,
  };
}
