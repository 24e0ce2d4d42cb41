// One line of a terminal that is written over and over, and wiped in the end. Nothing where nobody watches.
import type { Terminal } from "../output/terminal.ts";
import { cut } from "../output/terminal.ts";

/** The line. */
export interface LiveLine extends AsyncDisposable {
  /** Shows a text, at most ten times a second. */
  show(text: string): void;
}

const INTERVAL_MS = 100;
const WIPE = "\r\u001b[2K";

/** Begins a line. */
export function openLiveLine(terminal: Terminal): LiveLine {
  let shownMs = -Infinity;
  let written = Promise.resolve();
  const write = (text: string): void => {
    written = written.then(() => terminal.bytes(Buffer.from(text)));
  };
  return {
    show(text) {
      const now = performance.now();
      if (!terminal.isTerminal || now - shownMs < INTERVAL_MS) return;
      shownMs = now;
      write(`${WIPE}${terminal.colors.dim(cut(text, terminal.columns - 1))}`);
    },
    async [Symbol.asyncDispose]() {
      if (shownMs > 0) write(WIPE);
      await written;
    },
  };
}
