// Checks the chains of one tenant's audit log: whether every entry is as it was written, and whether any is missing, doubled or moved.
// Pure: it is given the entries in the order in which they are stored, and says what is wrong with them.

import { type AuditEntry, type AuditLink, hashOf, linkTo } from "./audit-chain.ts";

/**
 * What is wrong: the entry is not what its hash says; it does not follow the one before it; entries before it are missing; it comes again or
 * too late; the entry that its chain begins behind is missing; there must be more of the chain than there is.
 */
export type AuditFaultKind = "altered" | "unlinked" | "missing" | "moved" | "unanchored" | "truncated";

/** Something that is wrong with a log. */
export interface AuditFault {
  readonly kind: AuditFaultKind;
  readonly tenant: string;
  readonly writer: string;
  /** The entry at which it shows. */
  readonly number: number;
  /** One line for people. */
  readonly description: string;
}

/** What of a log was seen to be whole: its chains' last entries. */
export interface AuditCheckpoint {
  readonly tenant: string;
  readonly chains: readonly AuditLink[];
}

/** How many entries a chain may begin behind: the last of all that there were, of which a few may have been stored at the same moment. */
const REMEMBERED = 10_000;

/** Checks one tenant's log. */
export class AuditVerifier {
  readonly #tenant: string;
  #keptFromMs: number;
  /** The entry of each chain that was seen last. */
  readonly #chains = new Map<string, AuditLink>();
  /** What the checkpoint names and was not seen yet. */
  readonly #awaited = new Map<string, AuditLink>();
  /** The hashes of the entries seen last, the oldest first. */
  readonly #recent = new Map<string, string>();
  readonly #faults: AuditFault[] = [];
  #entries = 0;

  /** What was stored before `keptFromMs` may be missing. A checkpoint is what an earlier check saw. */
  constructor(tenant: string, keptFromMs: number, checkpoint?: AuditCheckpoint) {
    this.#tenant = tenant;
    this.#keptFromMs = keptFromMs;
    for (const link of checkpoint?.chains ?? []) this.#awaited.set(keyOf(link), link);
  }

  /** How many entries were checked. */
  get entries(): number {
    return this.#entries;
  }

  /** How many chains they form. */
  get chains(): number {
    return this.#chains.size;
  }

  /** Says that meanwhile what was stored before a later time may be missing. */
  keptFrom(timeMs: number): void {
    this.#keptFromMs = Math.max(this.#keptFromMs, timeMs);
  }

  /** Takes the next entry in stored order. */
  add(entry: AuditEntry): void {
    this.#entries += 1;
    const { tenant, writer, number } = entry;
    if (tenant !== this.#tenant) this.#fault("altered", entry, `names the tenant ${JSON.stringify(tenant)}`);
    if (hashOf(entry) !== entry.hash) this.#fault("altered", entry, "is not what its hash says");
    const last = this.#chains.get(writer);
    if (last !== undefined && number <= last.number) {
      this.#fault("moved", entry, `stands behind number ${last.number} of its chain`);
    } else {
      if (last === undefined) this.#begin(entry);
      else this.#follow(entry, last);
      this.#chains.set(writer, linkTo(entry));
    }
    this.#remember(entry);
  }

  /** Ends the check: everything that is wrong, in the order in which it was found. */
  finish(): readonly AuditFault[] {
    for (const link of this.#awaited.values()) {
      if (link.timeMs < this.#keptFromMs) continue;
      this.#fault("truncated", link, "was there at the last check, and is missing");
    }
    this.#awaited.clear();
    return this.#faults;
  }

  /** What was seen: a later check must find it again, or it must have become old enough to be removed. */
  checkpoint(): AuditCheckpoint {
    return { tenant: this.#tenant, chains: [...this.#chains.values()] };
  }

  #remember(entry: AuditEntry): void {
    const key = keyOf(entry);
    const awaited = this.#awaited.get(key);
    if (awaited !== undefined) {
      this.#awaited.delete(key);
      if (awaited.hash !== entry.hash) this.#fault("altered", entry, "is another one than at the last check");
    }
    this.#recent.set(key, entry.hash);
    if (this.#recent.size <= REMEMBERED) return;
    for (const oldest of this.#recent.keys()) {
      this.#recent.delete(oldest);
      return;
    }
  }

  #begin(entry: AuditEntry): void {
    const { previous, number, writer } = entry;
    if (number > 1) {
      if (previous?.writer !== writer || previous.number !== number - 1) {
        this.#fault("unlinked", entry, `does not follow number ${number - 1} of its chain`);
      } else if (previous.timeMs >= this.#keptFromMs) {
        this.#fault(
          "missing",
          entry,
          `is the first of its chain, though ${numbers(1, number - 1)} should still be there`,
        );
      }
    } else if (previous === undefined) {
      // Two chains cannot both begin behind nothing.
      if (this.#entries > 1)
        this.#fault("unanchored", entry, "begins a chain behind nothing, though entries stand before it");
    } else {
      const hash = this.#recent.get(keyOf(previous));
      if (hash === undefined && previous.timeMs >= this.#keptFromMs) {
        const behind = `number ${previous.number} of ${previous.writer}`;
        this.#fault("unanchored", entry, `begins a chain behind ${behind}, which is missing or stands behind it`);
      } else if (hash !== undefined && hash !== previous.hash) {
        this.#fault("altered", previous, `has another hash than the chain ${writer} says that begins behind it`);
      }
    }
  }

  #follow(entry: AuditEntry, last: AuditLink): void {
    const { number, previous, writer } = entry;
    if (number > last.number + 1) {
      this.#fault("missing", entry, `follows number ${last.number}: ${numbers(last.number + 1, number - 1)} missing`);
      if (previous?.writer === writer && previous.number === number - 1) return;
    } else if (previous?.writer === writer && previous.number === last.number && previous.hash === last.hash) return;
    this.#fault("unlinked", entry, `does not follow number ${number - 1} of its chain as that stands there`);
  }

  #fault(kind: AuditFaultKind, { writer, number }: Pick<AuditLink, "writer" | "number">, description: string): void {
    this.#faults.push({ kind, tenant: this.#tenant, writer, number, description });
  }
}

function keyOf({ writer, number }: Pick<AuditLink, "writer" | "number">): string {
  return `${writer} ${number}`;
}

function numbers(from: number, to: number): string {
  return from === to ? `number ${from}` : `numbers ${from} to ${to}`;
}
