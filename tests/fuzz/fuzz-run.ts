// How much a fuzzing test tries, and from which seed: a failing run is repeated by its seed.
import process from "node:process";

/** The seed of all random choices of this run. `FUZZ_SEED`; made up if unset. fast-check prints it with every counterexample. */
export const FUZZ_SEED: number = integerOf("FUZZ_SEED") ?? Math.trunc(Math.random() * 2 ** 31);

/** How many times as much as a short run is tried. `FUZZ_RUNS`, from 1; default 1. */
export const FUZZ_FACTOR: number = integerOf("FUZZ_RUNS") ?? 1;

/** Settings of a property that a short run tries so many times. */
export function tries(shortRun: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: FUZZ_SEED, numRuns: shortRun * FUZZ_FACTOR };
}

/** Numbers from 0 to below 1, the same for the same seed. Mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** So many random bytes. */
export function randomBytes(random: () => number, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, () => Math.trunc(random() * 256));
}

function integerOf(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === "") return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new RangeError(`${name} must be a whole number, is ${text}`);
  return value;
}
