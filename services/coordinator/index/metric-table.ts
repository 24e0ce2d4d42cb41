// What happened to tasks, as it is kept in the index's file, and how it is read back. Bounded by time: what is older than its resolution
// is kept for is taken out. What was counted last is in memory only, until the log has nothing more to say or a moment is over: that much is
// forgotten when the process is killed.

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { EventFacts } from "./stored-facts.ts";
import { RESOLUTIONS, Tallies, type TalliedRow, type TallyKey, type TallyRecord } from "./metric-tally.ts";

/** The table's part of the index's schema. */
export const METRICS_SCHEMA = `
  CREATE TABLE metrics (
    span_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL,
    tenant TEXT NOT NULL, type TEXT NOT NULL, agent_id TEXT NOT NULL, tally TEXT NOT NULL,
    PRIMARY KEY (tenant, span_ms, start_ms, type, agent_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX metrics_by_age ON metrics (span_ms, start_ms);
`;

/** A tally with what it is of. */
export interface KeptTally extends Pick<TallyKey, "type" | "agentId"> {
  readonly tally: TallyRecord;
}

/** How long tallies are gathered before they are written, in milliseconds. */
const GATHER_MS = 250;

/** How often what is too old is taken out, in milliseconds. */
const PRUNE_MS = 60_000;

/** The tallies in the file, and those on their way there. */
export class MetricTable {
  readonly #gathered = new Tallies();
  #wroteMs = 0;
  #prunedMs = 0;
  /** How far the log was read, in milliseconds since 1970. */
  #reachedMs = 0;
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #drop: StatementSync;
  readonly #read: StatementSync;

  constructor(database: DatabaseSync) {
    const place = "span_ms = ? AND start_ms = ? AND tenant = ? AND type = ? AND agent_id = ?";
    this.#get = database.prepare(`SELECT tally FROM metrics WHERE ${place}`);
    this.#put = database.prepare(
      `INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (tenant, span_ms, start_ms, type, agent_id) DO UPDATE SET tally = excluded.tally`,
    );
    this.#drop = database.prepare("DELETE FROM metrics WHERE span_ms = ? AND start_ms < ?");
    this.#read = database.prepare(
      "SELECT type, agent_id, tally FROM metrics WHERE tenant = ? AND span_ms = ? AND start_ms >= ?",
    );
  }

  /** Counts what a change of a row means. See {@link Tallies.count}. */
  count(before: number, row: TalliedRow, endMs: number | null, event: () => EventFacts | undefined): void {
    this.#gathered.count(before, row, endMs, event);
  }

  /** Forgets what was counted and not written: it was undone. */
  forget(): void {
    this.#gathered.take();
  }

  /** Writes what was gathered, from time to time. Within the caller's transaction; `nowMs` is how far the log was read. */
  write(nowMs: number): void {
    this.#reachedMs = nowMs;
    const ms = performance.now();
    if (ms - this.#wroteMs < GATHER_MS) return;
    this.#wroteMs = ms;
    this.#add(nowMs);
    if (ms - this.#prunedMs < PRUNE_MS) return;
    this.#prunedMs = ms;
    for (const { spanMs, keptMs } of RESOLUTIONS) this.#drop.run(spanMs, nowMs - keptMs - spanMs);
  }

  /** Whether something was counted that is not written. */
  get isGathering(): boolean {
    return !this.#gathered.isEmpty;
  }

  /** Writes what was gathered, however lately. Within the caller's transaction. */
  settle(): void {
    this.#wroteMs = performance.now();
    this.#add(this.#reachedMs);
  }

  #add(nowMs: number): void {
    for (const { key, tally } of this.#gathered.take()) {
      const { spanMs, startMs, tenant, type, agentId } = key;
      const keptMs = RESOLUTIONS.find((resolution) => resolution.spanMs === spanMs)?.keptMs ?? 0;
      if (startMs < nowMs - keptMs - spanMs) continue;
      const place = [spanMs, startMs, tenant, type, agentId] as const;
      const kept = tallyIn(this.#get.get(...place)?.["tally"]);
      if (kept !== undefined) tally.add(kept);
      this.#put.run(...place, JSON.stringify(tally.toRecord()));
    }
  }

  /** The tallies of a tenant since a time, at a resolution. One type and agent may come in several. */
  *read(tenant: string, spanMs: number, fromMs: number): Generator<KeptTally, void, undefined> {
    for (const { key, tally } of this.#gathered) {
      if (key.tenant === tenant && key.spanMs === spanMs && key.startMs >= fromMs)
        yield { ...key, tally: tally.toRecord() };
    }
    for (const values of this.#read.iterate(tenant, spanMs, fromMs)) {
      const tally = tallyIn(values["tally"]);
      if (tally !== undefined) yield { type: String(values["type"]), agentId: String(values["agent_id"]), tally };
    }
  }
}

/** What this file's own table has was written by `add`. */
function tallyIn(value: unknown): TallyRecord | undefined {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above; a file of another schema is thrown away
  return typeof value === "string" ? (JSON.parse(value) as TallyRecord) : undefined;
}
