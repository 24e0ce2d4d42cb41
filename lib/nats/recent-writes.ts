// What this process stored lately in the log of tasks, so that its own index need not read it back.
//
// Reading a message back costs 15 µs at the broker and as much here, which was a fifth of what a small task costs in all. An
// acknowledged message is the one that stands under its sequence, so nothing is believed here that a read would not say. What others
// stored, and what was forgotten because it came to too much, is read from the log. What another thread stored comes by write-ring.ts.

import { TRACEPARENT, TRACESTATE } from "../wire/headers.ts";
import { TASKS_SUBJECTS } from "../wire/subjects.ts";
import type { StoredMessage } from "./direct-reader.ts";
import type { StreamMessage } from "./stream-publisher.ts";

/** How much is kept, in bytes. What comes while an index is that far behind is left to be read from the log. */
const MAX_BYTES = 32 * 1024 * 1024;
/** What a message takes beside its body, about. */
const OVERHEAD_BYTES = 256;

const PREFIX: string = TASKS_SUBJECTS.slice(0, -1);

/** Whether messages of this subject stand in the log of tasks. Other streams have sequences of their own. */
export function isOfTasks(subject: string): boolean {
  return subject.startsWith(PREFIX);
}

/** What a tail asks of those that keep recent writes. */
export type KnownWrites = Pick<RecentWrites, "keep" | "beginsWithin" | "after">;

/** Keeps what was stored while somebody wants it. */
export class RecentWrites {
  readonly #now: () => number;
  readonly #messages = new Map<number, StoredMessage>();
  #bytes = 0;
  #readers = 0;

  /** `now` gives the time of the broker in milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Keeps what is stored from now on, until disposal. */
  keep(): Disposable {
    this.#readers += 1;
    let kept = true;
    return {
      [Symbol.dispose]: () => {
        if (!kept) return;
        kept = false;
        this.#readers -= 1;
        if (this.#readers === 0) this.#forget();
      },
    };
  }

  /** Whether the oldest that is known lies among the next so many after a sequence. */
  beginsWithin(position: number, next: number): boolean {
    const [oldest] = this.#messages.keys();
    return oldest !== undefined && oldest <= position + next;
  }

  /** Takes note of messages that were stored one after the other, the last one under a sequence. */
  stored(messages: readonly StreamMessage[], last: number): void {
    if (this.#readers === 0) return;
    const first = last - messages.length + 1;
    for (const [i, { subject, body, headers, expected }] of messages.entries()) {
      if (!isOfTasks(subject)) continue;
      this.add({
        subject,
        sequence: first + i,
        storeMs: this.#now(),
        body,
        traceparent: headers?.[TRACEPARENT] ?? "",
        tracestate: headers?.[TRACESTATE] ?? "",
        expected,
      });
    }
  }

  /** Takes note of a message as it stands in the log of tasks. */
  add(message: StoredMessage): void {
    if (this.#readers === 0 || this.#bytes > MAX_BYTES) return;
    this.#bytes += message.body.length + OVERHEAD_BYTES;
    this.#messages.set(message.sequence, message);
  }

  /** What is known to follow a sequence without a gap, at most so many messages. What stands up to the sequence is forgotten. */
  after(position: number, most: number): readonly StoredMessage[] {
    this.#forgetUpTo(position);
    const run: StoredMessage[] = [];
    for (let message = this.#messages.get(position + 1); message !== undefined && run.length < most;) {
      run.push(message);
      message = this.#messages.get(message.sequence + 1);
    }
    return run;
  }

  /** Acknowledgements arrive nearly in order, so what is old stands at the front; a straggler goes with those before which it stands. */
  #forgetUpTo(position: number): void {
    for (const [sequence, { body }] of this.#messages) {
      if (sequence > position) return;
      this.#messages.delete(sequence);
      this.#bytes -= body.length + OVERHEAD_BYTES;
    }
  }

  #forget(): void {
    this.#messages.clear();
    this.#bytes = 0;
  }
}
