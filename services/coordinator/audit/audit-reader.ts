// Answers questions about the audit log: pages of it in either order, and what is added as it is. Reads from the stream each time; there is
// no index of it.

import { setImmediate } from "node:timers/promises";
import type { AuditEntry } from "../../../gen/mycel/v1/audit_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { AuditStream, StoredAuditEntries } from "../../../lib/nats/audit-log.ts";
import { pause } from "../../../lib/time/pause.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { auditFilterOf } from "./audit-filter.ts";
import type { AuditPlace, AuditQuestion } from "./audit-place.ts";

/** A page. */
export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  /** Where the next page begins; undefined if this was the last. */
  readonly next: AuditPlace | undefined;
  /** What was stored before is removed by now; undefined if nothing ever is. */
  readonly keptFromMs: number | undefined;
}

/** Entries that were added. */
export interface AddedEntries {
  readonly entries: readonly AuditEntry[];
  /** Where to go on. */
  readonly next: AuditPlace;
}

/** What a reader needs. */
export interface AuditReaderParts {
  readonly stream: Pick<AuditStream, "read" | "sequenceAt" | "state" | "listen">;
  readonly clock: Clock;
}

/** How many messages one page looks at, at most: what is rare is found by many pages, not by one that takes its time. */
const MAX_LOOKED_AT = 10_000;

/** How far back one look goes, in messages of all tenants: at first, and at most. */
const WINDOW: { readonly first: number; readonly most: number } = { first: 256, most: 100_000 };
/** How many of them one page takes. */
const MAX_WINDOWS = 40;

const KEEP_ALIVE_MS = 15_000;
/** How often is looked without being told: what tells of something new may get lost. */
const LOOK_MS = 5_000;
/** A replica may tell of something that another one, which is asked for it, does not have yet. */
const LAG_MS = 100;

/** The most entries of one message of a watch. */
const MAX_ADDED = 500;

/** Reads the log. Every method throws MeshError BROKER_UNAVAILABLE when the broker does not answer. */
export class AuditReader {
  readonly #parts: AuditReaderParts;

  constructor(parts: AuditReaderParts) {
    this.#parts = parts;
  }

  /** A page of at most so many entries; behind a place, in the question's order. */
  async page(question: AuditQuestion, size: number, after: AuditPlace | undefined): Promise<AuditPage> {
    const state = await this.#parts.stream.state();
    const keptFromMs = state.maxAgeMs === 0 ? undefined : this.#parts.clock.now() - state.maxAgeMs;
    const found =
      question.order === "oldest"
        ? await this.#forward(question, size, after ?? (await this.#beginning(question)), state.lastSequence)
        : await this.#backward(
            question,
            size,
            after ?? { sequence: state.lastSequence + 1, index: 0 },
            state.firstSequence,
          );
    return { ...found, keptFromMs };
  }

  /**
   * The newest entries, so many, and then what is added; or what stands behind a place and what is added. Without entries at once, and as a
   * sign of life. Ends when the signal is aborted. Throws CURSOR_EXPIRED.
   */
  async *watch(
    question: AuditQuestion,
    from: AuditPlace | { readonly newest: number },
    signal: AbortSignal,
  ): AsyncGenerator<AddedEntries, void, undefined> {
    let wake = Promise.withResolvers<void>();
    using _told = this.#parts.stream.listen(question.tenant, () => wake.resolve());
    let place = "newest" in from ? await this.#start() : await this.#resume(from);
    const newest = "newest" in from ? await this.#newest(question, from.newest, place) : [];
    yield { entries: newest, next: place };
    const wanted = auditFilterOf(question.filter);
    let saidMs = this.#parts.clock.monotonicMs();
    while (!signal.aborted) {
      const messages = await this.#parts.stream.read(question.tenant, place.sequence, MAX_ADDED);
      const entries: AuditEntry[] = [];
      for (const message of messages) {
        const before = message.sequence === place.sequence ? place.index : 0;
        entries.push(...message.entries.slice(before).filter(wanted));
        place = { sequence: message.sequence + 1, index: 0 };
      }
      if (entries.length > 0 || this.#parts.clock.monotonicMs() - saidMs >= KEEP_ALIVE_MS) {
        yield { entries, next: place };
        saidMs = this.#parts.clock.monotonicMs();
      }
      if (messages.length > 0) continue;
      await until(wake.promise, LOOK_MS, signal);
      wake = Promise.withResolvers<void>();
      await pause(LAG_MS, signal);
    }
  }

  async #start(): Promise<AuditPlace> {
    return { sequence: (await this.#parts.stream.state()).lastSequence + 1, index: 0 };
  }

  async #resume(place: AuditPlace): Promise<AuditPlace> {
    const { firstSequence } = await this.#parts.stream.state();
    if (place.sequence >= firstSequence) return place;
    throw new MeshError("CURSOR_EXPIRED", "what follows the cursor is not kept any more: begin anew");
  }

  async #newest(question: AuditQuestion, count: number, before: AuditPlace): Promise<AuditEntry[]> {
    if (count === 0) return [];
    const { firstSequence } = await this.#parts.stream.state();
    const { entries } = await this.#backward(question, count, before, firstSequence);
    return entries.toReversed();
  }

  /** Where what was stored at the filter's start or later begins: nothing that was made later was stored before. */
  async #beginning({ tenant, filter }: AuditQuestion): Promise<AuditPlace> {
    const startMs = msFromTimestamp(filter?.startTime);
    if (startMs === undefined || startMs <= 0) return { sequence: 1, index: 0 };
    return { sequence: (await this.#parts.stream.sequenceAt(tenant, startMs)) ?? Infinity, index: 0 };
  }

  async #forward(
    { tenant, filter }: AuditQuestion,
    size: number,
    from: AuditPlace,
    lastSequence: number,
  ): Promise<Pick<AuditPage, "entries" | "next">> {
    const wanted = auditFilterOf(filter);
    const endMs = msFromTimestamp(filter?.endTime) ?? Infinity;
    const entries: AuditEntry[] = [];
    let { sequence, index } = from;
    for (let looked = 0; sequence <= lastSequence;) {
      const messages = await this.#parts.stream.read(tenant, sequence);
      for (const message of messages) {
        const start = message.sequence === sequence ? index : 0;
        for (const [i, entry] of message.entries.entries()) {
          if (i < start || !wanted(entry)) continue;
          if (entries.length === size) return { entries, next: { sequence: message.sequence, index: i } };
          entries.push(entry);
        }
        // What was stored so much later was made later, too, however long it had to wait.
        if (message.storeMs - MAX_WAITED_MS > endMs) return { entries, next: undefined };
      }
      const last = messages.at(-1);
      if (last === undefined) break;
      [sequence, index] = [last.sequence + 1, 0];
      looked += messages.length;
      if (looked >= MAX_LOOKED_AT && sequence <= lastSequence) return { entries, next: { sequence, index: 0 } };
      await setImmediate();
    }
    return { entries, next: undefined };
  }

  /** Entries before a place, the newest first. */
  async #backward(
    { tenant, filter }: AuditQuestion,
    size: number,
    before: AuditPlace,
    firstSequence: number,
  ): Promise<Pick<AuditPage, "entries" | "next">> {
    const wanted = auditFilterOf(filter);
    const startMs = msFromTimestamp(filter?.startTime) ?? -Infinity;
    const entries: AuditEntry[] = [];
    let place = before;
    let width = WINDOW.first;
    for (let looked = 0, windows = 0; place.sequence >= firstSequence; windows += 1) {
      if (windows === MAX_WINDOWS || looked >= MAX_LOOKED_AT) return { entries, next: place };
      const from = Math.max(firstSequence, place.sequence - width);
      const messages = await this.#between(tenant, from, place.sequence);
      looked += messages.length;
      for (const message of messages.toReversed()) {
        const end = message.sequence === place.sequence ? place.index : message.entries.length;
        for (let i = end - 1; i >= 0; i -= 1) {
          const entry = message.entries[i];
          if (entry === undefined || !wanted(entry)) continue;
          if (entries.length === size) return { entries, next: { sequence: message.sequence, index: i + 1 } };
          entries.push(entry);
        }
        // Nothing is made after it was stored.
        if (message.storeMs < startMs) return { entries, next: undefined };
      }
      if (from === firstSequence) break;
      place = { sequence: from, index: 0 };
      width = messages.length === 0 ? Math.min(width * 4, WINDOW.most) : WINDOW.first;
    }
    return { entries, next: undefined };
  }

  /** A tenant's messages of a range, the last one included. */
  async #between(tenant: string, from: number, to: number): Promise<readonly StoredAuditEntries[]> {
    const found: StoredAuditEntries[] = [];
    for (let sequence = from; sequence <= to;) {
      const messages = await this.#parts.stream.read(tenant, sequence);
      found.push(...messages.filter((message) => message.sequence <= to));
      const last = messages.at(-1);
      if (last === undefined) break;
      sequence = last.sequence + 1;
    }
    return found;
  }
}

/** The longest that an entry waits to be stored: as long as a coordinator may be without a broker, and then some. */
const MAX_WAITED_MS = 86_400_000;

/** Waits for something, for a time, or for the signal. */
async function until(event: Promise<void>, ms: number, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  await Promise.race([event, pause(ms, signal, done.signal)]);
  done.abort();
}
