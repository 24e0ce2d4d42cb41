// Writes one tenant's chain of this coordinator's run: gathers entries, stores them in batches one behind the other, and tries again until
// it knows what became of each batch. It decides neither what is recorded nor who waits for it.

import { setImmediate } from "node:timers/promises";
import { type AuditEntry, type AuditFacts, type AuditLink, linkTo, nextEntry } from "../../../lib/wire/audit-chain.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import type { AuditStream } from "../../../lib/nats/audit-log.ts";
import { storageFull } from "../../../lib/nats/broker-errors.ts";
import { pause } from "../../../lib/time/pause.ts";

/** An entry that is to be stored. */
export interface Draft {
  readonly facts: AuditFacts;
  /** Hears once that it was stored, or, with an error, that it is not and will not be. Absent if nobody waits. */
  readonly settled?: (error?: unknown) => void;
}

/** What a writer needs. */
export interface ChainWriterParts {
  readonly stream: Pick<AuditStream, "lastOfTenant" | "lastOfChain" | "append">;
  /** The tenant; empty for none. */
  readonly tenant: string;
  /** Makes a name that no other chain has. */
  readonly newWriter: () => string;
  readonly logger: Logger;
  /** Hears how many drafts are not waiting to be stored any more. */
  readonly onLeft: (count: number) => void;
}

/** Entries of one message: some tens of kilobytes. */
const MAX_BATCH = 128;

/** How long to wait before the next try, in milliseconds: at first, and at most. A full log takes an operator to help. */
const RETRY_MS: { readonly first: number; readonly most: number; readonly full: number } = {
  first: 50,
  most: 2_000,
  full: 1_000,
};

/** A batch under way. While it is not known whether it was stored, it must stay as it is. */
interface Attempt {
  readonly drafts: readonly Draft[];
  readonly entries: readonly AuditEntry[];
  readonly expected: number;
}

/** What is known of the chain's end. */
interface Place {
  readonly link: AuditLink | undefined;
  readonly sequence: number;
}

/** Writes a chain. */
export class ChainWriter {
  readonly #parts: ChainWriterParts;
  #writer: string;
  #pending: Draft[] = [];
  #attempt: Attempt | undefined;
  /** The end of the chain; undefined while it has none. */
  #end: Place | undefined;
  #running: Promise<void> | undefined;
  readonly #closed = new AbortController();

  constructor(parts: ChainWriterParts) {
    this.#parts = parts;
    this.#writer = parts.newWriter();
  }

  /** Has an entry stored behind all that were added before. */
  add(draft: Draft): void {
    this.#pending.push(draft);
    this.#running ??= this.#run();
  }

  /** Takes a draft back that is not on its way. Returns whether it was. */
  withdraw(draft: Draft): boolean {
    const at = this.#pending.indexOf(draft);
    if (at === -1) return false;
    this.#pending.splice(at, 1);
    this.#parts.onLeft(1);
    return true;
  }

  /** Resolves once everything is stored, or the signal is aborted; then nothing more is tried. Returns how much was not stored. */
  async close(signal: AbortSignal): Promise<number> {
    const stop = (): void => this.#closed.abort();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    await this.#running;
    signal.removeEventListener("abort", stop);
    return this.#pending.length + (this.#attempt?.drafts.length ?? 0);
  }

  async #run(): Promise<void> {
    let waitMs = RETRY_MS.first;
    // What one turn of the event loop brings leaves in one message.
    await setImmediate();
    while ((this.#attempt !== undefined || this.#pending.length > 0) && !this.#closed.signal.aborted) {
      const outcome = await this.#step().catch((err: unknown) => {
        this.#parts.logger.debug({ err }, "the audit log does not answer; trying again");
        return "retry" as const;
      });
      if (outcome === "stored") waitMs = RETRY_MS.first;
      else if (outcome !== "again") {
        await pause(outcome === "full" ? RETRY_MS.full : waitMs, this.#closed.signal);
        waitMs = Math.min(waitMs * 2, RETRY_MS.most);
      }
    }
    // In the same turn as the look whether anything is left: what is added from now on begins anew.
    this.#running = undefined;
  }

  async #step(): Promise<"stored" | "again" | "retry" | "full"> {
    this.#attempt ??= await this.#nextAttempt();
    const attempt = this.#attempt;
    const outcome = await this.#parts.stream.append(attempt.entries, attempt.expected);
    switch (outcome.kind) {
      case "stored":
        this.#stored(attempt, outcome.sequence);
        return "stored";
      case "unserved":
        return "retry";
      case "full":
        this.#refused(attempt);
        return "full";
      case "conflict":
        return await this.#look(attempt, false);
      case "unknown":
        return await this.#look(attempt, true);
    }
  }

  async #nextAttempt(): Promise<Attempt> {
    const place = this.#end ?? (await this.#parts.stream.lastOfTenant(this.#parts.tenant));
    const drafts = this.#pending.slice(0, MAX_BATCH);
    const entries: AuditEntry[] = [];
    let link = place?.link;
    for (const { facts } of drafts) {
      const entry = nextEntry({ tenant: this.#parts.tenant, writer: this.#writer }, link, facts);
      entries.push(entry);
      link = linkTo(entry);
    }
    this.#pending.splice(0, drafts.length);
    return { drafts, entries, expected: place?.sequence ?? 0 };
  }

  /** Finds out what became of a batch. */
  async #look(attempt: Attempt, mayBeUnderWay: boolean): Promise<"stored" | "again" | "retry"> {
    const { tenant } = this.#parts;
    const standing = await this.#parts.stream.lastOfChain({ tenant, writer: this.#writer });
    if (standing !== undefined && standing.link?.hash === attempt.entries.at(-1)?.hash) {
      this.#stored(attempt, standing.sequence);
      return "stored";
    }
    if (standing?.sequence === this.#end?.sequence) {
      // Another chain began meanwhile, so that this batch can't be stored as it is; or it got lost, and may still come.
      if (!mayBeUnderWay && this.#end === undefined) this.#takeBack(attempt);
      return mayBeUnderWay || this.#end !== undefined ? "retry" : "again";
    }
    // Only this run of this coordinator writes here: somebody else has rights that nobody should have.
    this.#parts.logger.error(
      { tenant, writer: this.#writer },
      "somebody else has written into this coordinator's audit log",
    );
    this.#writer = this.#parts.newWriter();
    this.#end = undefined;
    this.#takeBack(attempt);
    return "again";
  }

  #stored({ drafts, entries }: Attempt, sequence: number): void {
    this.#end = { link: entries.at(-1), sequence };
    this.#attempt = undefined;
    this.#parts.onLeft(drafts.length);
    for (const { settled } of drafts) settled?.();
  }

  /** Whoever waits is told that the log is full; what nobody waits for is kept. */
  #refused(attempt: Attempt): void {
    const waiting = attempt.drafts.filter(({ settled }) => settled !== undefined);
    this.#takeBack({ ...attempt, drafts: attempt.drafts.filter(({ settled }) => settled === undefined) });
    this.#parts.onLeft(waiting.length);
    for (const { settled } of waiting) settled?.(storageFull());
  }

  #takeBack({ drafts }: Attempt): void {
    this.#pending.unshift(...drafts);
    this.#attempt = undefined;
  }
}
