// A terminal that a program can draw on: a real emulator reads every byte, so that a test sees what a person would.
import xterm from "@xterm/headless";
import { pictureOf } from "./screen-picture.ts";

/** What a person at the terminal sees and does. */
export interface EmulatedTerminal extends Disposable {
  readonly columns: number;
  readonly rows: number;
  /** Whether the program draws on a screen of its own, which leaves the shell's as it was. */
  readonly alternate: boolean;
  /** The lines of the screen, without spaces at their ends. */
  lines(): string[];
  /** The screen as one text. */
  text(): string;
  /** The screen as an SVG, colours included. */
  picture(): string;
  /** Gives the emulator bytes of the program. */
  write(data: Uint8Array | string): void;
  /** Gives it another size. */
  resize(columns: number, rows: number): void;
  /** Resolves with the screen when it is as wanted. Rejects with what is on it when that takes too long. */
  until(wanted: string | RegExp | ((text: string) => boolean), timeoutMs?: number): Promise<string>;
  /** Is told what the emulator answers to the program's questions. */
  onAnswer(told: (data: string) => void): void;
  /** Whether any cell of a line that has the text is in a colour of its own. */
  coloured(text: string): boolean;
}

const TIMEOUT_MS = 30_000;

/** Opens a terminal. */
export function openEmulatedTerminal(columns: number, rows: number): EmulatedTerminal {
  const terminal = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true, scrollback: 1_000 });
  const lines = (): string[] => {
    const buffer = terminal.buffer.active;
    return Array.from(
      { length: terminal.rows },
      (_, at) => buffer.getLine(buffer.baseY + at)?.translateToString(true) ?? "",
    );
  };
  const text = (): string => lines().join("\n");
  return {
    get columns() {
      return terminal.cols;
    },
    get rows() {
      return terminal.rows;
    },
    get alternate() {
      return terminal.buffer.active.type === "alternate";
    },
    lines,
    text,
    picture: () => pictureOf(terminal),
    write: (data) => terminal.write(data),
    resize: (cols, rows) => terminal.resize(cols, rows),
    onAnswer: (told) => void terminal.onData(told),
    coloured(wanted) {
      const at = lines().findIndex((line) => line.includes(wanted));
      const line = terminal.buffer.active.getLine(terminal.buffer.active.baseY + at);
      return Array.from({ length: terminal.cols }, (_, x) => line?.getCell(x)?.isFgDefault()).includes(false);
    },
    async until(wanted, timeoutMs = TIMEOUT_MS) {
      const isWanted = (seen: string): boolean =>
        typeof wanted === "function"
          ? wanted(seen)
          : typeof wanted === "string"
            ? seen.includes(wanted)
            : wanted.test(seen);
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const look = (): void => {
        const seen = text();
        if (isWanted(seen)) resolve(seen);
      };
      const listener = terminal.onWriteParsed(look);
      const timer = setTimeout(
        () => reject(new Error(`never saw ${String(wanted)}; the screen is:\n${text()}`)),
        timeoutMs,
      );
      look();
      try {
        return await promise;
      } finally {
        clearTimeout(timer);
        listener.dispose();
      }
    },
    [Symbol.dispose]: () => terminal.dispose(),
  };
}
