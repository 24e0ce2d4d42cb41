// A terminal that says nothing while calls are printed on it.
import type { Terminal } from "../output/terminal.ts";

/** The terminal, silent for as long as `isQuiet` says so. */
export function quietTerminal(terminal: Terminal, isQuiet: () => boolean): Terminal {
  return {
    ...terminal,
    line: async (text) => {
      if (!isQuiet()) await terminal.line(text);
    },
    bytes: async (data) => {
      if (!isQuiet()) await terminal.bytes(data);
    },
  };
}
