// Owns what one attempt streams: numbers the outputs, coalesces them for a few milliseconds, and publishes one batch at a time.
//
// One at a time, because only then is the order on the stream certain when a publish must be repeated; while one is on its way the
// next batch grows, so throughput is bounded by bytes, not by round trips.
import type { Clock } from "../../lib/core/clock.ts";
import { MESSAGE_ID } from "../../lib/wire/headers.ts";
import type { Link } from "./link.ts";
import { encodeOutput, type OutputKind } from "./output-codec.ts";
import type { EncodedPayload } from "./payload.ts";

/** Where and how to publish. */
export interface OutputsOptions {
  readonly link: Pick<Link, "request">;
  readonly clock: Clock;
  readonly subject: string;
  /** Names this run of this attempt; with the first index of a batch it makes a repeated publish recognisable. */
  readonly runId: string;
  /** How long outputs are gathered before they are sent. */
  readonly coalesceMs: number;
  /** How long one publish may take before it is repeated. */
  readonly publishTimeoutMs: number;
  /** Whether outputs may still be published: the lease is held, the attempt is not over. */
  readonly mayPublish: () => boolean;
}

// A batch is sent at once when it weighs this much, and never weighs more than the second number: NATS' default limit is 1 MiB.
const FLUSH_BYTES = 64 * 1024;
const MAX_BATCH_BYTES = 512 * 1024;
// What a handler may have unsent before it is asked to wait.
const MAX_BUFFERED_BYTES = 1024 * 1024;
const MAX_BACKOFF_MS = 2_000;
const READY: Promise<void> = Promise.resolve();

interface Entry {
  readonly index: number;
  readonly progress: boolean;
  /** Undefined while a large chunk is being uploaded; those behind it wait, so that the order holds. */
  bytes: Uint8Array | undefined;
}

/** The outputs of one attempt. */
export class Outputs {
  readonly #options: OutputsOptions;
  readonly #entries: Entry[] = [];
  #count = 0;
  #bufferedBytes = 0;
  #open = false;
  #sending = false;
  #timer: NodeJS.Timeout | undefined;
  #waiters: (() => void)[] = [];
  #lastSequence = 0;
  #incomplete = false;

  constructor(options: OutputsOptions) {
    this.#options = options;
  }

  /** The stream sequence of the last stored batch, 0 for none. */
  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** Readers know the attempt: what was gathered may be published. */
  open(): void {
    this.#open = true;
    this.#arm();
  }

  /** Adds an output; resolves when there is room for the next one. */
  push(output: OutputKind): Promise<void> {
    const last = this.#entries.at(-1);
    // Progress that overtakes progress not yet sent takes its place: only the newest is worth sending.
    const replaced = output.kind === "progress" && last?.progress === true ? last : undefined;
    const entry = replaced ?? this.#reserve(output.kind === "progress");
    this.#bufferedBytes -= replaced?.bytes?.length ?? 0;
    this.#fill(entry, encodeOutput(entry.index, this.#options.clock.now(), output));
    return this.#room();
  }

  /** Adds a chunk whose payload is still being uploaded. Rejects with what the upload rejects with; then the chunk is left out. */
  async pushLater(payload: Promise<EncodedPayload>): Promise<void> {
    const entry = this.#reserve(false);
    const nowMs = this.#options.clock.now();
    try {
      this.#fill(entry, encodeOutput(entry.index, nowMs, { kind: "chunk", payload: await payload }));
    } catch (error) {
      // The number is taken; an empty output keeps the count without holes.
      this.#fill(entry, encodeOutput(entry.index, nowMs, undefined));
      throw error;
    }
    await this.#room();
  }

  /** Sends everything and resolves with true when all is stored, or with false when nothing may be published any more. */
  async finish(): Promise<boolean> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while ((this.#entries.length > 0 || this.#sending) && this.#options.mayPublish()) {
      this.#send();
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
    return !this.#incomplete && this.#entries.length === 0 && !this.#sending;
  }

  /** Drops what is not sent. */
  discard(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#entries.length = 0;
    this.#bufferedBytes = 0;
    this.#wake();
  }

  #reserve(progress: boolean): Entry {
    const entry: Entry = { index: (this.#count += 1), progress, bytes: undefined };
    this.#entries.push(entry);
    return entry;
  }

  #fill(entry: Entry, bytes: Uint8Array): void {
    entry.bytes = bytes;
    this.#bufferedBytes += bytes.length;
    if (this.#bufferedBytes >= FLUSH_BYTES) this.#send();
    else this.#arm();
  }

  #arm(): void {
    if (this.#timer !== undefined || !this.#open || this.#entries.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#send();
    }, this.#options.coalesceMs);
  }

  #room(): Promise<void> {
    if (this.#bufferedBytes < MAX_BUFFERED_BYTES) return READY;
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }

  #send(): void {
    if (this.#sending || !this.#open) return;
    const batch = this.#takeBatch();
    if (batch === undefined) return;
    this.#sending = true;
    void this.#publish(batch.first, batch.body).then(() => {
      this.#sending = false;
      this.#bufferedBytes -= batch.bytes;
      this.#wake();
      if (this.#bufferedBytes >= FLUSH_BYTES) this.#send();
      else this.#arm();
    });
  }

  #takeBatch(): { readonly first: number; readonly bytes: number; readonly body: Uint8Array } | undefined {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for (const entry of this.#entries) {
      if (entry.bytes === undefined || (parts.length > 0 && bytes + entry.bytes.length > MAX_BATCH_BYTES)) break;
      parts.push(entry.bytes);
      bytes += entry.bytes.length;
    }
    const first = this.#entries[0]?.index;
    if (first === undefined || parts.length === 0) return undefined;
    this.#entries.splice(0, parts.length);
    return { first, bytes, body: Buffer.concat(parts) };
  }

  async #publish(first: number, body: Uint8Array): Promise<void> {
    const { link, subject, runId, publishTimeoutMs, mayPublish } = this.#options;
    const headers = { [MESSAGE_ID]: `${runId}/${first}` };
    for (let backoffMs = 50; mayPublish(); backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS)) {
      try {
        const sequence = sequenceOf(await link.request(subject, body, { timeoutMs: publishTimeoutMs, headers }));
        this.#lastSequence = sequence;
        return;
      } catch {
        // Lost answers, elections and full streams all look alike: the same id makes the repetition safe, the lease bounds it.
        await new Promise((resolve) => setTimeout(resolve, backoffMs * (0.5 + Math.random() / 2)));
      }
    }
    this.#incomplete = true;
  }
}

function sequenceOf(msg: { readonly json: () => unknown }): number {
  const ack = msg.json();
  // A refusal carries a sequence too: 0.
  if (typeof ack === "object" && ack !== null && "seq" in ack && typeof ack.seq === "number" && ack.seq > 0) {
    return ack.seq;
  }
  throw new Error(`the publish was not stored: ${JSON.stringify(ack)}`);
}
