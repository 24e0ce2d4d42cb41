// A walk over the rows that are due: batch by batch, several rows at once, at a bounded rate. Knows neither what is due nor what is done.

import { pause } from "../../../lib/time/pause.ts";
import { FIRST_DUE } from "./due-rows.ts";
import type { DueRow } from "./task-table.ts";

/** What a walk is for. */
export interface Sweep {
  /** Finds the next rows behind one, at most so many. */
  readonly next: (after: Pick<DueRow, "ms" | "row">, limit: number) => readonly DueRow[];
  /** Sees to a row, and says whether that settles it. */
  readonly seeTo: (row: DueRow) => Promise<boolean>;
  /** Hears after each batch which of its rows are settled, whatever went wrong beside them. */
  readonly onSettled: (rows: readonly DueRow[]) => void;
}

/** How many rows are taken at a time, and how many of them are worked on at once. */
const BATCH = 200;
const PARALLEL = 8;

/** The pause after each batch, in milliseconds: with the batch it bounds the rate, so that a sweep never crowds out tasks. */
const BATCH_PAUSE_MS = 100;

/** Walks until no row is left or the signal is aborted. Throws what `seeTo` throws, after the batch in which it did. */
export async function sweep({ next, seeTo, onSettled }: Sweep, signal: AbortSignal): Promise<void> {
  let after: Pick<DueRow, "ms" | "row"> = FIRST_DUE;
  while (!signal.aborted) {
    const batch = next(after, BATCH);
    const last = batch.at(-1);
    if (last === undefined) return;
    after = last;
    const settled: DueRow[] = [];
    const waiting = [...batch];
    const take = async (): Promise<void> => {
      for (let row = waiting.shift(); row !== undefined && !signal.aborted; row = waiting.shift()) {
        if (await seeTo(row)) settled.push(row);
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: PARALLEL }, take));
    onSettled(settled);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    if (batch.length < BATCH) return;
    await pause(BATCH_PAUSE_MS, signal);
  }
}
