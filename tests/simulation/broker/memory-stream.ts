// One stream in memory: what stands under which sequence and subject, and what stood there earlier, for replicas that lag behind.
// It must not know what its messages mean.
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import { TRACEPARENT, TRACESTATE } from "../../../lib/wire/headers.ts";

/** A message as it is stored. */
export interface MemoryMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** When it was stored, by the broker's clock, in milliseconds since 1970. */
  readonly storeMs: number;
  /** The sequence that its writer expected before it; undefined if it expected nothing. */
  readonly expected: number | undefined;
  /** The version of the stream from which on it stood. */
  readonly born: number;
  /** The version from which on it did not; Infinity while it stands. */
  died: number;
}

/** What a writer gives. */
export type NewMessage = Pick<MemoryMessage, "subject" | "body" | "headers" | "expected">;

/** A stream. */
export class MemoryStream {
  readonly name: string;
  readonly #messages = new Map<number, MemoryMessage>();
  readonly #subjects = new Map<string, MemoryMessage[]>();
  /** When it changed: each time makes a version. */
  readonly #changes: number[] = [];
  readonly #nowMs: () => number;
  #lastSequence = 0;

  constructor(name: string, nowMs: () => number) {
    this.name = name;
    this.#nowMs = nowMs;
  }

  /** How often it has changed. */
  get version(): number {
    return this.#changes.length;
  }

  /** How often it had changed at a time. */
  versionAt(ms: number): number {
    return this.#changes.findLastIndex((changeMs) => changeMs <= ms) + 1;
  }

  /** How many messages stand. */
  get size(): number {
    return this.#messages.size;
  }

  /** Everything that stands, in its order. */
  messages(): IterableIterator<MemoryMessage> {
    return this.#messages.values();
  }

  /** Stores a message. */
  store(message: NewMessage): MemoryMessage {
    const storeMs = this.#nowMs();
    this.#changes.push(storeMs);
    this.#lastSequence += 1;
    const { subject, body, headers, expected } = message;
    const sequence = this.#lastSequence;
    const stored = { subject, body, headers, expected, storeMs, sequence, born: this.version, died: Infinity };
    this.#messages.set(sequence, stored);
    const others = this.#subjects.get(subject);
    if (others === undefined) this.#subjects.set(subject, [stored]);
    else others.push(stored);
    return stored;
  }

  /** A message that stands under a sequence. */
  get(sequence: number): MemoryMessage | undefined {
    return this.#messages.get(sequence);
  }

  /** The last message on a filter, as it was at a version. */
  last(filter: string, version: number = this.version): MemoryMessage | undefined {
    let found: MemoryMessage | undefined;
    for (const last of this.lastOfEach(filter, version)) {
      if (last.sequence > (found?.sequence ?? 0)) found = last;
    }
    return found;
  }

  /** The last message of every subject on a filter, by sequence, as it was at a version. */
  lastOfEach(filter: string, version: number = this.version): MemoryMessage[] {
    const found: MemoryMessage[] = [];
    for (const messages of this.#on(filter)) {
      const last = messages.findLast((message) => stood(message, version));
      if (last !== undefined) found.push(last);
    }
    return found.sort((a, b) => a.sequence - b.sequence);
  }

  /** Up to `count` messages on a filter from a sequence on, as it was at a version. */
  from(sequence: number, filter: string, count: number, version: number = this.version): MemoryMessage[] {
    const found: MemoryMessage[] = [];
    for (const messages of this.#on(filter)) {
      for (const message of messages) {
        if (message.sequence >= sequence && stood(message, version)) found.push(message);
      }
    }
    return found.sort((a, b) => a.sequence - b.sequence).slice(0, count);
  }

  /** Removes messages, all of them at once. */
  remove(sequences: readonly number[]): void {
    this.#changes.push(this.#nowMs());
    for (const sequence of sequences) {
      const message = this.#messages.get(sequence);
      if (message !== undefined) message.died = this.version;
      this.#messages.delete(sequence);
    }
  }

  *#on(filter: string): Generator<readonly MemoryMessage[]> {
    if (!filter.includes("*") && !filter.endsWith(">")) {
      const exact = this.#subjects.get(filter);
      if (exact !== undefined) yield exact;
      return;
    }
    for (const [subject, messages] of this.#subjects) if (matches(filter, subject)) yield messages;
  }
}

function stood({ born, died }: MemoryMessage, version: number): boolean {
  return born <= version && version < died;
}

/** Whether a subject is on a filter. */
export function matches(filter: string, subject: string): boolean {
  const wanted = filter.split(".");
  const tokens = subject.split(".");
  for (const [i, token] of wanted.entries()) {
    if (token === ">") return tokens.length > i;
    if (i >= tokens.length || (token !== "*" && token !== tokens[i])) return false;
  }
  return wanted.length === tokens.length;
}

/** The message as reads tell it. */
export function asStored(message: MemoryMessage): StoredMessage {
  const { subject, sequence, body, headers, storeMs, expected } = message;
  return {
    subject,
    sequence,
    // As NATS' client gives it.
    body: Buffer.from(body.buffer, body.byteOffset, body.length),
    storeMs,
    expected,
    traceparent: headers[TRACEPARENT] ?? "",
    tracestate: headers[TRACESTATE] ?? "",
  };
}
