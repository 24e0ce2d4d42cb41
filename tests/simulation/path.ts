// How an interleaving is named beside its seed: which run it is, and which of the run's choices are left of it, as "12" or "12:0-3,7".

/** A run, whole or shortened. */
export interface Path {
  /** Which run of the seed, from 0. */
  readonly run: number;
  /** Which of its choices are made, in rising order; undefined for all. */
  readonly kept: readonly number[] | undefined;
}

const PATH = /^\d{1,9}(?::(?:\d{1,6}(?:-\d{1,6})?(?:,\d{1,6}(?:-\d{1,6})?)*)?)?$/;

/** Reads a path; undefined if it is none. */
export function parsePath(text: string): Path | undefined {
  if (!PATH.test(text)) return undefined;
  const [run = "", kept] = text.split(":");
  if (kept === undefined) return { run: Number(run), kept: undefined };
  const ranges = kept === "" ? [] : kept.split(",").map((range) => range.split("-").map(Number));
  const choices = ranges.flatMap(([from = 0, to = from]) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
  return { run: Number(run), kept: choices };
}

/** Writes a path. */
export function formatPath({ run, kept }: Path): string {
  if (kept === undefined) return String(run);
  const ranges: [from: number, to: number][] = [];
  for (const choice of kept) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === choice - 1) last[1] = choice;
    else ranges.push([choice, choice]);
  }
  return `${run}:${ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(",")}`;
}
