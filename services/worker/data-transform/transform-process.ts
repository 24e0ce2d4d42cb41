// The process in which transformations run, one at a time; see transform-processes.ts, which kills it when one takes too long.
import process from "node:process";
import { Worker } from "node:worker_threads";
import { READY, transform, type TransformAnswer } from "./transform-job.ts";

// Ctrl-C in a terminal reaches every process: the agent decides when this one ends.
process.on("SIGINT", () => undefined).on("SIGTERM", () => undefined);
process.on("disconnect", () => process.exit(0));
// Of a transformation that never ends, `disconnect` is never told: the watch kills the process when the agent is gone.
// The agent names itself: it may be gone before this process could ask who its parent is.
const agentPid = Number(process.argv[2]);
const watch = new Worker(new URL("./orphan-watch.ts", import.meta.url), { workerData: agentPid });
watch.unref();

process.on("message", (input: Uint8Array) => {
  // Sent before the work, which may let nothing else through.
  process.send?.(READY, () => void answer(input));
});

async function answer(input: Uint8Array): Promise<void> {
  process.send?.(await transform(input).catch(failed));
}

function failed(error: unknown): TransformAnswer {
  const message = error instanceof Error ? error.message : String(error);
  return { kind: "failed", reason: "TRANSFORM_FAILED", message };
}
