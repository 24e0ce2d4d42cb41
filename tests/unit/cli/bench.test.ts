import { describe, expect, test } from "vitest";
import { latencyText, summarize } from "../../../cli/bench/latencies.ts";
import { type LoadOptions, runLoad } from "../../../cli/bench/load.ts";
import { MycelError, type MycelClient, TaskFailedError, type TaskRun } from "../../../sdk/client/index.ts";

test.for([
  [[], { p50: 0, p90: 0, p99: 0, max: 0 }],
  [[7], { p50: 7, p90: 7, p99: 7, max: 7 }],
  [[3, 1, 2, 10], { p50: 2, p90: 10, p99: 10, max: 10 }],
  [Array.from({ length: 100 }, (_, i) => 100 - i), { p50: 50, p90: 90, p99: 99, max: 100 }],
] as const)("a percentile is the time that so many of a hundred did not exceed", ([times, summary]) => {
  expect(summarize(times)).toEqual(summary);
});

test.for([
  [0.123, "0.12 ms"],
  [12.34, "12.3 ms"],
  [420.4, "420 ms"],
  [1_254, "1.25 s"],
] as const)("%d ms are written %s", ([ms, text]) => {
  expect(latencyText(ms)).toBe(text);
});

describe("a load", () => {
  test("runs as many tasks as it was told, and never more at once", async () => {
    const { load, most, started } = loadOf(() => undefined);
    const { completedMs, acknowledgedMs, errors } = await runLoad({ ...load, tasks: 20, concurrency: 3 });
    expect([completedMs.length, acknowledgedMs.length, errors.size]).toEqual([20, 20, 0]);
    expect([started(), most()]).toEqual([20, 3]);
  });

  test("counts what failed by its reason, and goes on", async () => {
    const failure = { taskId: "t", state: "failed", message: "", reason: "BAD", attempt: 1, details: "" } as const;
    const { load } = loadOf((i) => {
      if (i === 2) throw new TaskFailedError(failure);
      if (i === 4) throw new MycelError("resource_exhausted", "full", { reason: "QUEUE_FULL" });
      if (i === 5) throw new MycelError("internal", "odd");
    });
    const ended: number[] = [];
    const result = await runLoad({ ...load, tasks: 6, concurrency: 1, onEnd: (count) => ended.push(count) });
    expect(Object.fromEntries(result.errors)).toEqual({ BAD: 1, QUEUE_FULL: 1, INTERNAL: 1 });
    expect(result.completedMs).toHaveLength(3);
    expect(ended).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("ends when it is told to, and counts nothing that was under way", async () => {
    const stop = new AbortController();
    const { load, started } = loadOf((i) => {
      if (i < 4) return;
      stop.abort();
      throw new MycelError("canceled", "left");
    });
    const result = await runLoad({ ...load, tasks: 100, concurrency: 2, signal: stop.signal });
    expect(result.errors.size).toBe(0);
    expect(started()).toBeLessThan(7);
  });
});

/** A load on a mesh that ends each task as it is told, in its own turn. */
function loadOf(end: (i: number) => void): { load: LoadOptions; most: () => number; started: () => number } {
  let [started, open, most] = [0, 0, 0];
  const run = (): TaskRun => {
    started += 1;
    open += 1;
    most = Math.max(most, open);
    const i = started;
    const result = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      open -= 1;
      end(i);
    });
    const submitted = Promise.resolve({ taskId: `t-${i}` });
    return { submitted, result: () => result } as unknown as TaskRun;
  };
  const client = { run } as unknown as MycelClient;
  const { signal } = new AbortController();
  const load = { client, type: "echo", input: 1, options: {}, tasks: 1, concurrency: 1, signal };
  return { load, most: () => most, started: () => started };
}
