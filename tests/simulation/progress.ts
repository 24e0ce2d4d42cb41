// Tells on stderr how far a long search has come, without filling a log.
import process from "node:process";
import { counted } from "./report.ts";

/** How often it is told on a terminal, and elsewhere, in milliseconds. */
const TERMINAL_EVERY_MS = 500;
const ELSEWHERE_EVERY_MS = 10_000;

/** Counts and tells. */
export class Progress {
  readonly #what: string;
  readonly #terminal = process.stderr.isTTY;
  readonly #startMs = performance.now();
  #toldMs = performance.now();
  #done = 0;

  constructor(what: string) {
    this.#what = what;
  }

  /** How many there were a second, for people. */
  get rate(): string {
    const seconds = (performance.now() - this.#startMs) / 1_000;
    return `${counted(Math.round(this.#done / seconds))} a second`;
  }

  /** Counts one, and tells how many there are if it is time. */
  count(unit: string): void {
    this.#done += 1;
    const nowMs = performance.now();
    if (nowMs - this.#toldMs < (this.#terminal ? TERMINAL_EVERY_MS : ELSEWHERE_EVERY_MS)) return;
    this.#toldMs = nowMs;
    const line = `${this.#what}${counted(this.#done)} ${unit}, ${this.rate}`;
    process.stderr.write(this.#terminal ? `\r\x1b[K${line}` : `${line}\n`);
  }

  /** Clears the line. */
  end(): void {
    if (this.#terminal) process.stderr.write("\r\x1b[K");
  }
}
