// What this process stored lately in the log of tasks, so that its own index need not read it back.
//
// Reading a message back costs 15 µs at the broker and as much here, which was a fifth of what a small task costs in all. An
// acknowledged message is the one that stands under its sequence, so nothing is believed here that a read would not say. What others
// stored, and what was forgotten because it came to too much, is read from the log.

import { TRACEPARENT, TRACESTATE } from "../wire/headers.ts";
import { TASKS_SUBJECTS } from "../wire/subjects.ts";
import type { StoredMessage } from "./direct-reader.ts";
import type { StreamMessage } from "./stream-publisher.ts";

/** How much is kept, in bytes. What comes while an index is that far behind is left to be read from the log. */
const MAX_BYTES = 32 * 1024 * 1024;
/** What a message takes beside its body, about. */
const OVERHEAD_BYTES = 256;

/** Other streams have sequences of their own. */
const PREFIX = TASKS_SUBJECTS.slice(0, -1);

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
    if (this.#readers === 0 || this.#bytes > MAX_BYTES) return;
    const first = last - messages.length + 1;
    for (const [i, message] of messages.entries()) this.#add(message, first + i);
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

  #add({ subject, body, headers, expected }: StreamMessage, sequence: number): void {
    if (!subject.startsWith(PREFIX)) return;
    this.#bytes += body.length + OVERHEAD_BYTES;
    this.#messages.set(sequence, {
      subject,
      sequence,
      storeMs: this.#now(),
      body,
      traceparent: headers?.[TRACEPARENT] ?? "",
      tracestate: headers?.[TRACESTATE] ?? "",
      expected,
    });
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
