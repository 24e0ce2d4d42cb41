// Work in processes of its own: whatever it does, it ends within its bounds, and no process is left behind.
import process from "node:process";
import { expect, test } from "vitest";
import { BoundedProcesses, type WorkEnd } from "../../../services/worker/bounded-processes/bounded-processes.ts";
import type { BoundedRequest } from "../../support/bounded-work.ts";

const pool = new BoundedProcesses<BoundedRequest, unknown>({
  module: new URL("../../support/bounded-work.ts", import.meta.url),
  max: 1,
  maxHeapMib: 64,
  maxResidentMib: 512,
});

async function run(kind: BoundedRequest["kind"], timeLimitMs: number = 60_000): Promise<WorkEnd<unknown>> {
  return pool.run({ kind }, { timeLimitMs, signal: new AbortController().signal });
}

/** The process that the next request comes to. */
async function idlePid(): Promise<number> {
  const end = await run("pid");
  return end.kind === "answered" && typeof end.answer === "number" ? end.answer : Number.NaN;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("a process that answered is used again", async () => {
  expect(await idlePid()).toBe(await idlePid());
});

test("a process knows nothing of the agent's environment", async () => {
  expect(await run("environment")).toEqual({ kind: "answered", answer: [] });
});

test.for<[string, BoundedRequest["kind"], number, WorkEnd<unknown>]>([
  ["an endless loop", "loop", 100, { kind: "timed-out" }],
  ["a heap that is full", "heap", 60_000, { kind: "out-of-memory" }],
  ["memory outside of the heap", "buffers", 60_000, { kind: "out-of-memory" }],
  ["the end of the process itself", "exit", 60_000, { kind: "died", by: "code 3" }],
])("%s ends the work and its process, and the next is done by another", async ([, kind, timeLimitMs, end]) => {
  const pid = await idlePid();
  expect(isRunning(pid)).toBe(true);
  expect(await run(kind, timeLimitMs)).toEqual(end);
  await expect.poll(() => isRunning(pid)).toBe(false);
  const next = await idlePid();
  expect(next).toBeGreaterThan(0);
  expect(next).not.toBe(pid);
});

test("a cancel ends the work and its process", async () => {
  const pid = await idlePid();
  const controller = new AbortController();
  const work = pool.run({ kind: "loop" }, { timeLimitMs: 60_000, signal: controller.signal });
  setImmediate(() => controller.abort(new Error("canceled")));
  await expect(work).rejects.toThrow("canceled");
  await expect.poll(() => isRunning(pid)).toBe(false);
});
