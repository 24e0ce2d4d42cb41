// Does work in processes of their own: one whose work takes too long, too much memory, or is canceled is killed, whatever it does, and the
// agent feels nothing of it. A thread would not do: out of memory, it takes the agent with it. Processes are kept for the next piece of
// work; idle ones do not keep the agent alive and end after a while, or with it.
import { type ChildProcess, fork } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { READY, type WorkDone } from "./process-work.ts";

/** What bounds one piece of work. */
export interface WorkBounds {
  /** How long it may take, in milliseconds, the wait for a process not counted. */
  readonly timeLimitMs: number;
  /** Ends it at once. */
  readonly signal: AbortSignal;
}

/** How a piece of work ended: with its answer, or killed by a limit, or with its process, for what it did to it. */
export type WorkEnd<Answer> =
  | { readonly kind: "answered"; readonly answer: Answer }
  | { readonly kind: "timed-out" }
  | { readonly kind: "out-of-memory" }
  | { readonly kind: "died"; readonly by: string };

/** Which processes there are. */
export interface BoundedProcessesOptions {
  /** What a process runs: a module that calls `serveWork`. */
  readonly module: URL;
  /** How many pieces of work are done at once, at least 1; further ones wait. */
  readonly max: number;
  /** Heap of a process that JavaScript may fill, in MiB. */
  readonly maxHeapMib: number;
  /** Memory of a process with all that is in it, in MiB. It is looked at ten times a second, so it may be passed for a moment. */
  readonly maxResidentMib: number;
}

const IDLE_MS = 30_000;

/** A bounded number of processes, each of which does one piece of work at a time. */
export class BoundedProcesses<Request extends object, Answer> {
  readonly #options: BoundedProcessesOptions;
  readonly #idle: { readonly child: ChildProcess; readonly timer: NodeJS.Timeout }[] = [];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(options: BoundedProcessesOptions) {
    this.#options = options;
  }

  /** Has one request answered. Rejects with the reason of the signal. */
  async run(request: Request, bounds: WorkBounds): Promise<WorkEnd<Answer>> {
    await this.#enter(bounds.signal);
    const child = this.#take();
    let isReusable = false;
    try {
      const { end, isSpent } = await ask<Answer>(child, request, bounds);
      isReusable = !isSpent;
      return end;
    } finally {
      if (isReusable) this.#giveBack(child);
      else child.kill("SIGKILL");
      this.#busy -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (this.#busy >= this.#options.max) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const onAbort = (): void => resolve();
      this.#waiting.push(resolve);
      signal.addEventListener("abort", onAbort, { once: true });
      await promise;
      signal.removeEventListener("abort", onAbort);
      if (!signal.aborted) continue;
      const at = this.#waiting.indexOf(resolve);
      // Woken for a free process and canceled at once: the next in line may have it.
      if (at === -1) this.#waiting.shift()?.();
      else this.#waiting.splice(at, 1);
      signal.throwIfAborted();
    }
    this.#busy += 1;
  }

  #take(): ChildProcess {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      clearTimeout(idle.timer);
      if (!isAlive(idle.child)) continue;
      idle.child.ref();
      idle.child.channel?.ref();
      return idle.child;
    }
    return start(this.#options);
  }

  #giveBack(child: ChildProcess): void {
    child.unref();
    child.channel?.unref();
    const timer = setTimeout(() => {
      this.#idle.splice(this.#idle.indexOf(entry), 1);
      child.kill("SIGKILL");
    }, IDLE_MS).unref();
    const entry = { child, timer };
    this.#idle.push(entry);
  }
}

/** Its end may be known before that of its channel, or the other way round. */
function isAlive(child: ChildProcess): boolean {
  return child.connected && child.exitCode === null && child.signalCode === null;
}

function start({ module, maxHeapMib, maxResidentMib }: BoundedProcessesOptions): ChildProcess {
  const child = fork(fileURLToPath(module), [String(process.pid), String(maxResidentMib * 1024 * 1024)], {
    // What the work could find in the environment is nothing.
    env: {},
    execArgv: [`--max-old-space-size=${maxHeapMib}`],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  // A process that dies while it is idle is nobody's error; #take finds it gone.
  child.on("error", () => undefined);
  return child;
}

/** How the work in a process ended, and whether the process is good for nothing more. */
interface Asked<Answer> {
  readonly end: WorkEnd<Answer>;
  readonly isSpent: boolean;
}

/** What the process answers, or what ended it. Rejects when it could not be asked, or the signal aborted. */
async function ask<Answer>(
  child: ChildProcess,
  request: object,
  { timeLimitMs, signal }: WorkBounds,
): Promise<Asked<Answer>> {
  // It may have come while the process was chosen, and a signal tells nobody twice.
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Asked<Answer>>();
  const onAbort = (): void => reject(signal.reason);
  const onExit = (code: number | null, killer: NodeJS.Signals | null): void =>
    resolve({ end: endOf(code, killer), isSpent: true });
  let timer: NodeJS.Timeout | undefined;
  const onTimeout = (): void => resolve({ end: { kind: "timed-out" }, isSpent: true });
  const onMessage = (message: typeof READY | WorkDone<Answer>): void => {
    if (message === READY) timer = setTimeout(onTimeout, timeLimitMs);
    else resolve({ end: { kind: "answered", answer: message.answer }, isSpent: message.isSpent });
  };
  signal.addEventListener("abort", onAbort, { once: true });
  child.on("message", onMessage).once("error", reject).once("exit", onExit);
  child.send(request);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    child.off("message", onMessage).off("error", reject).off("exit", onExit);
  }
}

function endOf(code: number | null, killer: NodeJS.Signals | null): WorkEnd<never> {
  // SIGABRT (or 134) is how V8 ends a process whose heap is full, SIGKILL how its own watch and the operating system do.
  const isTooLarge = killer === "SIGABRT" || killer === "SIGKILL" || code === 134;
  return isTooLarge ? { kind: "out-of-memory" } : { kind: "died", by: killer ?? `code ${String(code)}` };
}
