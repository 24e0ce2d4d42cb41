// What a process holds: of itself after its garbage was collected, and of the system.

import { readFile } from "node:fs/promises";
// Only its types: loaded, it would answer for this process.
import type { PROBE, ProbeAnswer } from "../../tests/soak/probe.ts";
import { BenchError } from "../support/bench-error.ts";
import type { BenchProcess } from "../support/process.ts";

/** Bytes that a process holds. */
export interface Memory {
  /** Resident, as the system counts it. 0 where it does not say (other than Linux). */
  readonly rssBytes: number;
  /** Its heap and what belongs to objects of the heap, garbage left out. 0 for what is not asked. */
  readonly ownBytes: number;
}

const QUESTION: typeof PROBE = "soak-probe";
const ANSWER_WITHIN_MS = 20_000;

/** Node's option that loads the probe: without it a process is as it is shipped, with it too, but for one listener. */
export const PROBED: readonly string[] = [`--import=${new URL("../../tests/soak/probe.ts", import.meta.url).href}`];

/** Asks Node processes that have the probe loaded. */
export class MemoryProbe {
  #answered = Promise.withResolvers<ProbeAnswer>();

  /** To be given to the process as its `onMessage`. */
  readonly onMessage = (message: unknown): void => {
    if (isAnswer(message)) this.#answered.resolve(message);
  };

  /** Looks at the process, after it has collected its garbage. Rejects with BenchError when it does not answer. */
  async look(process: BenchProcess): Promise<Memory> {
    this.#answered = Promise.withResolvers();
    const { promise, reject } = this.#answered;
    const timer = setTimeout(
      () => reject(new BenchError(`process ${process.pid} did not say what it holds`)),
      ANSWER_WITHIN_MS,
    );
    process.send(QUESTION);
    const { heapBytes, externalBytes } = await promise.finally(() => clearTimeout(timer));
    return { rssBytes: await rssBytes(process.pid), ownBytes: heapBytes + externalBytes };
  }
}

/** Resident bytes of a process; 0 where the system does not say. */
export async function rssBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1_024;
}

function isAnswer(message: unknown): message is ProbeAnswer {
  return typeof message === "object" && message !== null && "kind" in message && message.kind === QUESTION;
}
