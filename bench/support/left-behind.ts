// What must not outlive the benchmark, however it ends: it is interrupted while measurements run, and those do not hear of it.

import process from "node:process";

const cleanUps = new Set<() => void>();
process.once("exit", () => {
  // Last in, first out: what was started last may write to what was made before.
  for (const cleanUp of [...cleanUps].toReversed()) {
    try {
      cleanUp();
    } catch {
      // What is gone already need not go; the others must.
    }
  }
});

/** Runs `cleanUp`, which must not wait, when this process exits. Disposing the result forgets it: it was cleaned up in the proper way. */
export function cleanUpOnExit(cleanUp: () => void): Disposable {
  cleanUps.add(cleanUp);
  return { [Symbol.dispose]: () => void cleanUps.delete(cleanUp) };
}
