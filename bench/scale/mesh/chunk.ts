// A streamed chunk that says when it was given, so that its reader knows how long it took. Both are on one machine.

const CHUNK_BYTES = 200;

/** Milliseconds of the wall clock, with fractions. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}

/** A text of 200 bytes that begins with the time. */
export function chunkNow(): string {
  return `${wallMs()} `.padEnd(CHUNK_BYTES, "x");
}

/** How old a chunk is, in milliseconds. */
export function ageMs(chunk: string): number {
  return wallMs() - Number.parseFloat(chunk);
}
