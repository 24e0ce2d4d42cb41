// A thread that ends its process when the parent is gone or too much memory is taken, even while the main thread is busy for ever in code
// of another language, whose memory V8 does not bound.
import process from "node:process";
import { workerData } from "node:worker_threads";
import type { WatchedLimits } from "./process-work.ts";

const LOOK_EVERY_MS = 100;

const { parentPid, maxResidentBytes }: WatchedLimits = workerData;

setInterval(() => {
  if (process.memoryUsage.rss() > maxResidentBytes || process.ppid !== parentPid) process.kill(process.pid, "SIGKILL");
}, LOOK_EVERY_MS);
