// The inner side of bounded-processes.ts: does one piece of work after another, and lets nobody but the parent decide when it ends.
import process from "node:process";
import { Worker } from "node:worker_threads";

/** What a process says when it takes up a request; its time runs from then. */
export const READY = "ready";

/** What a process says when it has answered. */
export interface WorkDone<Answer> {
  readonly answer: Answer;
  /** Whether it holds so much memory that the next piece of work should not have to live with it. */
  readonly isSpent: boolean;
}

/** What a process is watched for. */
export interface WatchedLimits {
  /** It ends when this is no longer its parent. */
  readonly parentPid: number;
  /** It ends when all of its memory is more than this. */
  readonly maxResidentBytes: number;
}

/** Answers every request of the parent by `work`, at once or later. The process ends when `work` fails. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it says what comes over the channel, which nothing else can
export function serveWork<Request>(work: (request: Request) => unknown): void {
  // Ctrl-C in a terminal reaches every process: the parent decides when this one ends.
  process.on("SIGINT", () => undefined).on("SIGTERM", () => undefined);
  process.on("disconnect", () => process.exit(0));
  // Of work that never ends, `disconnect` is never told: the watch kills the process when the parent is gone.
  // The parent names itself: it may be gone before this process could ask who its parent is.
  const [parentPid = 0, maxResidentBytes = 0] = process.argv.slice(2).map(Number);
  const limits: WatchedLimits = { parentPid, maxResidentBytes };
  const watch = new Worker(new URL("./process-watch.ts", import.meta.url), { workerData: limits });
  watch.unref();

  const respond = async (request: Request): Promise<void> => {
    const answer = await work(request);
    const done: WorkDone<unknown> = { answer, isSpent: process.memoryUsage.rss() > maxResidentBytes / 2 };
    process.send?.(done);
  };
  process.on("message", (request: Request) => {
    // Sent before the work, which may let nothing else through.
    process.send?.(READY, () => void respond(request));
  });
}
