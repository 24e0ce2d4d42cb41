// Loaded into each Node process of the soak before its own code: says what the process holds when its parent asks.
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** The question. */
export const PROBE = "soak-probe";

/** The answer: what is left after garbage was collected. */
export interface ProbeAnswer {
  readonly kind: typeof PROBE;
  readonly heapBytes: number;
  /** Buffers and other memory outside the heap that belongs to its objects. */
  readonly externalBytes: number;
  /** Timers, sockets, servers and whatever else keeps an event loop alive. */
  readonly handles: number;
}

if (process.send !== undefined) {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  process.on("message", (message) => {
    if (message !== PROBE) return;
    // Twice: finalizers of the first collection free what the second one finds.
    for (let i = 0; i < 2; i += 1) if (typeof collect === "function") collect();
    const { heapUsed, external } = process.memoryUsage();
    const handles = process.getActiveResourcesInfo().length;
    process.send?.({ kind: PROBE, heapBytes: heapUsed, externalBytes: external, handles } satisfies ProbeAnswer);
  });
  // It must not keep a process alive that would end.
  process.channel?.unref();
}
