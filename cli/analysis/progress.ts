// Shows how far a job is: a live bar on a terminal, a line at every tenth elsewhere. Writes only to the given stream.
import cliProgress from "cli-progress";

/** Where progress is shown. */
export interface ProgressOptions {
  /** Tasks in all, at least 1. */
  readonly total: number;
  /** Usually stderr, so that it stays out of piped data. `columns` is its width if it is a terminal. */
  readonly stream: NodeJS.WritableStream & { readonly columns?: number };
  /** Whether `stream` is a terminal that can redraw a line. */
  readonly isTTY: boolean;
}

/** Beside how many tasks are done. */
interface ProgressDetail {
  /** Tasks a second so far. */
  readonly rate: number;
  /** Agents that have worked so far. */
  readonly agents: number;
}

/** A shown progress. */
export interface Progress extends Disposable {
  /** `done` tasks of the total are finished; never goes back. */
  update(done: number, detail: ProgressDetail): void;
  /** Shows the last state and gives the terminal back; may be called twice. */
  stop(): void;
}

/** Starts to show progress; `stop` must be called, or the terminal's cursor stays hidden. */
export function openProgress(options: ProgressOptions): Progress {
  const { total } = options;
  if (!Number.isInteger(total) || total < 1) throw new RangeError(`total must be a whole number from 1, is ${total}`);
  return options.isTTY ? openBar(options) : openLines(options);
}

function openBar({ total, stream }: ProgressOptions): Progress {
  const bar = new cliProgress.SingleBar({
    stream,
    format: (_options, params, payload: ProgressDetail) => {
      // Read at every drawing: a terminal may be resized meanwhile.
      const width = Math.max(10, Math.min(40, (stream.columns ?? 80) - 50));
      const filled = Math.round(params.progress * width);
      return `  ${"■".repeat(filled)}${"·".repeat(width - filled)} ${describe(params.value, total, payload)}`;
    },
    hideCursor: true,
    fps: 10,
    // The terminal is given back by `stop`; signals belong to the program around.
    gracefulExit: false,
  });
  let highest = 0;
  let detail: ProgressDetail = { rate: 0, agents: 0 };
  let stopped = false;
  bar.start(total, 0, detail);
  const stop = (): void => {
    if (stopped) return;
    stopped = true;
    bar.update(highest, detail);
    bar.stop();
  };
  return {
    update: (done, current) => {
      if (stopped || done < highest) return;
      highest = done;
      detail = current;
      bar.update(done, current);
    },
    stop,
    [Symbol.dispose]: stop,
  };
}

function openLines({ total, stream }: ProgressOptions): Progress {
  let tenths = 0;
  let stopped = false;
  const stop = (): void => {
    stopped = true;
  };
  return {
    update: (done, detail) => {
      const reached = Math.floor((done * 10) / total);
      if (stopped || reached <= tenths) return;
      tenths = reached;
      stream.write(`${describe(done, total, detail)}\n`);
    },
    stop,
    [Symbol.dispose]: stop,
  };
}

function describe(done: number, total: number, { rate, agents }: ProgressDetail): string {
  const percent = String(Math.floor((done * 100) / total)).padStart(3);
  const speed = `${rate.toFixed(rate >= 10 ? 0 : 1)}/s`;
  return `${percent} %  ${done}/${total} tasks  ${speed}  ${agents} agent${agents === 1 ? "" : "s"}`;
}
