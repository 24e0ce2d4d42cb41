// Runs transformations in processes of their own: one whose work takes too long, too much memory, or is canceled is killed, whatever it
// does, and the agent feels nothing of it. A thread would not do: out of memory, it takes the agent with it. Processes are kept for the
// next transformation; idle ones do not keep the agent alive and end after a while, or with it.
import { type ChildProcess, fork } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { READY, type TransformAnswer } from "./transform-job.ts";

/** What bounds one transformation. */
export interface TransformBounds {
  /** How long it may run, in milliseconds, the wait for a process not counted. */
  readonly timeLimitMs: number;
  /** Ends it at once. */
  readonly signal: AbortSignal;
}

/** Heap of one process: the input, what is made of it, and the compiled code. */
const MAX_HEAP_MIB = 128;
const IDLE_MS = 30_000;

/** A bounded number of processes. */
export class TransformProcesses {
  readonly #max: number;
  readonly #idle: { readonly child: ChildProcess; readonly timer: NodeJS.Timeout }[] = [];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  /** `max`: how many transformations run at once, at least 1; further ones wait. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Runs one transformation, given the bytes of its input. Rejects with the reason of the signal. */
  async run(input: Uint8Array, bounds: TransformBounds): Promise<TransformAnswer> {
    await this.#enter(bounds.signal);
    const child = this.#take();
    try {
      const answer = await ask(child, input, bounds);
      if (answer.kind === "failed" && KILLING.has(answer.reason)) child.kill("SIGKILL");
      else this.#giveBack(child);
      return answer;
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    } finally {
      this.#busy -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (this.#busy >= this.#max) {
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
      if (!idle.child.connected) continue;
      idle.child.ref();
      idle.child.channel?.ref();
      return idle.child;
    }
    return start();
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

/** After these the process is good for nothing more. */
const KILLING: ReadonlySet<string> = new Set(["TRANSFORM_TIMEOUT", "TRANSFORM_TOO_LARGE"]);

function start(): ChildProcess {
  const child = fork(fileURLToPath(new URL("./transform-process.ts", import.meta.url)), [String(process.pid)], {
    // What an expression could find in the environment is nothing.
    env: {},
    execArgv: [`--max-old-space-size=${MAX_HEAP_MIB}`],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  // A process that dies while it is idle is nobody's error; #take finds it gone.
  child.on("error", () => undefined);
  return child;
}

/** What the process answers, or what ended it. Rejects when it ended for no reason known here, or the signal aborted. */
async function ask(
  child: ChildProcess,
  input: Uint8Array,
  { timeLimitMs, signal }: TransformBounds,
): Promise<TransformAnswer> {
  // It may have come while the process was chosen, and a signal tells nobody twice.
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<TransformAnswer>();
  const onAbort = (): void => reject(signal.reason);
  const onExit = (code: number | null, killer: NodeJS.Signals | null): void => {
    // How V8 ends a process whose heap is full.
    if (killer === "SIGABRT" || code === 134) resolve(tooLarge());
    else reject(new Error(`the transformation's process ended by ${killer ?? `code ${String(code)}`}`));
  };
  let timer: NodeJS.Timeout | undefined;
  const onMessage = (message: typeof READY | TransformAnswer): void => {
    if (message === READY) timer = setTimeout(() => resolve(timedOut(timeLimitMs)), timeLimitMs);
    else resolve(message);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  child.on("message", onMessage).once("error", reject).once("exit", onExit);
  child.send(input);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    child.off("message", onMessage).off("error", reject).off("exit", onExit);
  }
}

function timedOut(timeLimitMs: number): TransformAnswer {
  return {
    kind: "failed",
    reason: "TRANSFORM_TIMEOUT",
    message: `it took more than ${timeLimitMs} ms, its time limit`,
  };
}

function tooLarge(): TransformAnswer {
  return {
    kind: "failed",
    reason: "TRANSFORM_TOO_LARGE",
    message: `it needed more than ${MAX_HEAP_MIB} MiB of memory`,
  };
}
