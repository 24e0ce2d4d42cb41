// Runs many small jobs, a bounded number of them at once.

/** Runs `job` for 0 … `count` - 1, `concurrency` at once, and resolves when all are done. Rejects with the first failure. */
export async function inFlight(
  count: number,
  concurrency: number,
  job: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const index = next;
      next += 1;
      await job(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, lane));
}
