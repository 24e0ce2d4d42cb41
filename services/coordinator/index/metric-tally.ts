// What happened to tasks, added up by tenant, type, agent and span of time: in memory, until it is written. Counts each task's submission
// and its end once, as the rows of the table go from one state to the next.

import { DurationHistogram, type HistogramRecord } from "../../../lib/core/duration-histogram.ts";
import { isTerminal } from "../../../lib/core/task-state.ts";
import { stateFromWire } from "../../../lib/wire/state-codec.ts";
import type { KnownRow } from "./projection.ts";
import type { EventFacts } from "./stored-facts.ts";

/** How finely time is told, in milliseconds, and for how long spans of that length are kept. */
export const RESOLUTIONS = [
  { spanMs: 10_000, keptMs: 3_600_000 },
  { spanMs: 600_000, keptMs: 86_400_000 },
] as const;

/** How tasks may end, as metrics tell them apart. */
export const ENDS = ["completed", "failed", "canceled", "timed_out"] as const;

type End = (typeof ENDS)[number];

/** What durations are measured. */
export const DURATIONS = ["wait", "run", "total"] as const;

type Measured = (typeof DURATIONS)[number];

/** Whose and when. */
export interface TallyKey {
  readonly spanMs: number;
  /** When the span begins, in milliseconds since 1970. */
  readonly startMs: number;
  readonly tenant: string;
  readonly type: string;
  /** The agent of the last attempt; empty for submissions, and for tasks that no agent ever had. */
  readonly agentId: string;
}

/** Tallies as plain data. */
export interface TallyRecord {
  readonly submitted: number;
  readonly ends: Readonly<Record<End, number>>;
  readonly retries: number;
  readonly durations: Readonly<Record<Measured, HistogramRecord>>;
}

/** Counts of one set of tasks. */
export class Tally {
  submitted = 0;
  retries = 0;
  readonly ends: Record<End, number> = { completed: 0, failed: 0, canceled: 0, timed_out: 0 };
  readonly durations: Readonly<Record<Measured, DurationHistogram>> = {
    wait: new DurationHistogram(),
    run: new DurationHistogram(),
    total: new DurationHistogram(),
  };

  /** Adds what another one has counted. */
  add({ submitted, retries, ends, durations }: TallyRecord): void {
    this.submitted += submitted;
    this.retries += retries;
    for (const end of ENDS) this.ends[end] += ends[end];
    for (const measured of DURATIONS) this.durations[measured].addAll(durations[measured]);
  }

  /** Plain data. */
  toRecord(): TallyRecord {
    const { wait, run, total } = this.durations;
    return {
      submitted: this.submitted,
      retries: this.retries,
      ends: this.ends,
      durations: { wait: wait.toRecord(), run: run.toRecord(), total: total.toRecord() },
    };
  }
}

/** What a row must tell to be tallied. */
export type TalliedRow = Pick<KnownRow, "tenant" | "type" | "createMs" | "startMs" | "state">;

/** A tally with what it is of. */
export interface KeyedTally {
  readonly key: TallyKey;
  readonly tally: Tally;
}

/** Tallies that are not written yet. */
export class Tallies {
  readonly #tallies = new Map<string, KeyedTally>();

  /** Whether there are none. */
  get isEmpty(): boolean {
    return this.#tallies.size === 0;
  }

  /** All of them. */
  [Symbol.iterator](): IterableIterator<KeyedTally> {
    return this.#tallies.values();
  }

  /**
   * Counts what a change of a row means: `before` is its state before, 0 for a task that was not known. `endMs` and `event` tell of its end,
   * if it has ended.
   */
  count(before: number, row: TalliedRow, endMs: number | null, event: () => EventFacts | undefined): void {
    if (row.state === 0) return;
    if (before === 0) this.#each(row, "", row.createMs, (tally) => (tally.submitted += 1));
    if (endMs === null || hasEnded(before)) return;
    const end = ENDS.find((word) => word === stateFromWire(row.state));
    if (end === undefined) return;
    const facts = event();
    const readyMs = Math.max(row.createMs, row.startMs ?? 0);
    const startMs = facts?.attemptStartMs;
    this.#each(row, facts?.agentId ?? "", endMs, (tally) => {
      tally.ends[end] += 1;
      tally.retries += Math.max(0, (facts?.attempt ?? 0) - 1);
      tally.durations.total.add(endMs - readyMs);
      if (startMs === undefined) return;
      tally.durations.wait.add(startMs - readyMs);
      tally.durations.run.add(endMs - startMs);
    });
  }

  /** Takes all out. */
  take(): readonly KeyedTally[] {
    const taken = [...this.#tallies.values()];
    this.#tallies.clear();
    return taken;
  }

  #each({ tenant, type }: TalliedRow, agentId: string, ms: number, count: (tally: Tally) => void): void {
    for (const { spanMs } of RESOLUTIONS) {
      const startMs = ms - (ms % spanMs);
      const name = `${tenant}.${type}.${agentId}.${spanMs}.${startMs}`;
      let found = this.#tallies.get(name);
      if (found === undefined) {
        found = { key: { spanMs, startMs, tenant, type, agentId }, tally: new Tally() };
        this.#tallies.set(name, found);
      }
      count(found.tally);
    }
  }
}

function hasEnded(state: number): boolean {
  const word = stateFromWire(state);
  return word !== undefined && isTerminal(word);
}
