// What the index counts of tasks by time, and what it answers about a window.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type DurationMetrics,
  GetMetricsRequestSchema,
  type Metrics,
  type TaskMetrics,
} from "../../../gen/mycel/v1/metrics_service_pb.ts";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { TaskState } from "../../../lib/core/task-state.ts";
import { durationFromMs, msFromDuration, msFromTimestamp, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { getMetrics } from "../../../services/coordinator/index/metric-query.ts";
import { dispatched, type EventChoice, happened } from "../../support/index-log.ts";
import { type MemoryIndex, openMemoryIndex } from "./open-index.ts";

const NOW = 1_800_000_000_000;

function ask(
  index: MemoryIndex,
  request: MessageInitShape<typeof GetMetricsRequestSchema> = {},
  { asOfMs = NOW, tenant = "default", scope }: { asOfMs?: number; tenant?: string; scope?: TaskScope } = {},
): Metrics {
  const source = { database: index.database, metrics: index.table.metrics };
  return getMetrics(source, tenant, create(GetMetricsRequestSchema, request), { asOfMs, scope }).metrics!;
}

/** A task of the last minute: created, started 100 ms later, ended 400 ms after that. */
function story(
  first: number,
  taskId: string,
  state: TaskState,
  { type = "echo", agentId = "a-1", attempt = 1, agoMs = 30_000, tenant = "default" } = {},
): StoredMessage[] {
  const createMs = NOW - agoMs;
  const event: EventChoice["event"] = { agentId, attempt };
  if (agentId !== "") event.attemptStartTime = timestampFromMs(createMs + 100);
  return [
    dispatched(first, taskId, { tenant, createMs, task: { type, queue: type } }),
    happened(first + 1, taskId, state, { tenant, eventMs: createMs + 500, event }),
  ];
}

function counts(metrics: TaskMetrics | undefined): Record<string, number> {
  const { submittedCount, completedCount, failedCount, canceledCount, timedOutCount, retryCount } = metrics!;
  const all = { submittedCount, completedCount, failedCount, canceledCount, timedOutCount, retryCount };
  return Object.fromEntries(
    Object.entries(all)
      .filter(([, count]) => count > 0n)
      .map(([name, count]) => [name.replace("Count", ""), Number(count)]),
  );
}

function ms(duration: DurationMetrics | undefined): Record<string, number | undefined> {
  const { count, average, p50, max } = duration!;
  return { count: Number(count), average: msFromDuration(average), p50: msFromDuration(p50), max: msFromDuration(max) };
}

describe("the metrics of a window", () => {
  test("count what was submitted and how it ended, by type and by agent", () => {
    using index = openMemoryIndex();
    index.apply(
      ...story(1, "one", "completed"),
      ...story(3, "two", "failed", { attempt: 3 }),
      ...story(5, "three", "canceled", { agentId: "" }),
      ...story(7, "four", "timed_out", { type: "slow", agentId: "a-2" }),
      dispatched(9, "five", { createMs: NOW - 10_000, task: { type: "slow", queue: "slow" } }),
    );
    const { total, types, agents } = ask(index);
    expect(counts(total)).toEqual({ submitted: 5, completed: 1, failed: 1, canceled: 1, timedOut: 1, retry: 2 });
    expect(total!.successRate).toBeCloseTo(1 / 3);
    expect(types.map(({ type, metrics }) => [type, counts(metrics)])).toEqual([
      ["echo", { submitted: 3, completed: 1, failed: 1, canceled: 1, retry: 2 }],
      ["slow", { submitted: 2, timedOut: 1 }],
    ]);
    expect(agents.map(({ agentId, metrics }) => [agentId, counts(metrics)])).toEqual([
      ["a-1", { completed: 1, failed: 1, retry: 2 }],
      ["a-2", { timedOut: 1 }],
    ]);
    expect(total!.open.map(({ state, taskCount }) => [state, taskCount])).toEqual([[1, 1n]]);
  });

  test("tell how long tasks waited and ran, and nothing of the run of those that no agent had", () => {
    using index = openMemoryIndex();
    index.apply(...story(1, "ran", "completed"), ...story(3, "never", "canceled", { agentId: "" }));
    const { total } = ask(index);
    expect(ms(total!.wait)).toMatchObject({ count: 1, average: 100, max: 100 });
    expect(ms(total!.run)).toMatchObject({ count: 1, average: 400, max: 400 });
    expect(ms(total!.total)).toMatchObject({ count: 2, average: 500, max: 500 });
  });

  test("count the wait of a delayed task from its start time", () => {
    using index = openMemoryIndex();
    const startMs = NOW - 20_000;
    const event = { agentId: "a-1", attempt: 1, attemptStartTime: timestampFromMs(startMs + 50) };
    index.apply(
      dispatched(1, "later", { createMs: NOW - 50_000, task: { startTime: timestampFromMs(startMs) } }),
      happened(2, "later", "completed", { eventMs: startMs + 80, event }),
    );
    const { total } = ask(index);
    expect(ms(total!.wait)).toMatchObject({ average: 50 });
    expect(ms(total!.total)).toMatchObject({ average: 80 });
  });

  test("give rates over the window, which begins on a whole span", () => {
    using index = openMemoryIndex();
    for (let n = 0; n < 60; n += 1) index.apply(...story(1 + n * 2, `t${n}`, "completed"));
    const { total, startTime, asOfTime } = ask(index, { window: durationFromMs(60_000) }, { asOfMs: NOW + 5_000 });
    expect(msFromTimestamp(startTime)).toBe(NOW - 60_000);
    expect(msFromTimestamp(asOfTime)).toBe(NOW + 5_000);
    expect(total!.submitRate).toBeCloseTo(60 / 65);
    expect(total!.endRate).toBeCloseTo(60 / 65);
  });

  test.each([
    ["a minute", 60_000, ["new"]],
    ["an hour", 3_600_000, ["new", "older"]],
    ["a day", 86_400_000, ["ancient", "new", "older"]],
  ])("reach back %s", (_, windowMs, types) => {
    using index = openMemoryIndex();
    index.apply(
      ...story(1, "a", "completed", { type: "ancient", agoMs: 80_000_000 }),
      ...story(3, "b", "completed", { type: "older", agoMs: 3_000_000 }),
      ...story(5, "c", "completed", { type: "new", agoMs: 20_000 }),
    );
    expect(ask(index, { window: durationFromMs(windowMs) }).types.map(({ type }) => type)).toEqual(types);
  });

  test("keep to the types, the agent and the tenant that are asked for", () => {
    using index = openMemoryIndex();
    index.apply(
      ...story(1, "a", "completed", { type: "echo", agentId: "a-1" }),
      ...story(3, "b", "completed", { type: "slow", agentId: "a-1" }),
      ...story(5, "c", "failed", { type: "echo", agentId: "a-2" }),
      ...story(7, "d", "failed", { tenant: "other" }),
    );
    expect(counts(ask(index, { types: ["echo"] }).total)).toEqual({ submitted: 2, completed: 1, failed: 1 });
    expect(counts(ask(index, { agentId: "a-1" }).total)).toEqual({ completed: 2 });
    expect(counts(ask(index, {}, { tenant: "other" }).total)).toEqual({ submitted: 1, failed: 1 });
    expect(ask(index, {}, { tenant: "nobody" }).types).toEqual([]);
  });

  test("show what waits of a type to which nothing has happened within the window", () => {
    using index = openMemoryIndex();
    index.apply(dispatched(1, "old", { createMs: NOW - 90_000_000, task: { type: "stuck", queue: "stuck" } }));
    const [stuck] = ask(index).types;
    expect(stuck!.type).toBe("stuck");
    expect(counts(stuck!.metrics)).toEqual({});
    expect(stuck!.metrics!.open).toMatchObject([{ state: 1, taskCount: 1n }]);
  });

  test("refuse what is out of bounds, all at once", () => {
    using index = openMemoryIndex();
    const request = { window: durationFromMs(1_000), types: [""], agentId: "no good" };
    expect(() => ask(index, request)).toThrow(/window: .*and 2 more/);
  });

  test("are the same however the log is cut into batches, and whatever comes again", () => {
    const ends: TaskState[] = ["completed", "failed", "canceled", "timed_out"];
    fc.assert(
      fc.property(
        fc.array(fc.record({ end: fc.constantFrom(...ends), agent: fc.constantFrom("a-1", "a-2") }), { maxLength: 12 }),
        fc.array(fc.nat(30), { maxLength: 6 }),
        (tasks, cuts) => {
          const log = tasks.flatMap(({ end, agent }, n) => story(1 + n * 2, `t${n}`, end, { agentId: agent }));
          using whole = openMemoryIndex();
          whole.apply(...log);
          using parts = openMemoryIndex();
          const places = [0, ...cuts.filter((cut) => cut < log.length).toSorted((a, b) => a - b), log.length];
          // Each part begins one message before the end of the part before.
          for (const [n, place] of places.slice(1).entries())
            parts.apply(...log.slice(Math.max(0, places[n]! - 1), place));
          expect(ask(parts)).toEqual(ask(whole));
        },
      ),
      { numRuns: 50 },
    );
  });

  test("are told the same by the file as by what is still gathered", async () => {
    using index = openMemoryIndex();
    index.apply(...story(1, "one", "completed"));
    const kept = () => index.database.prepare("SELECT count(*) AS n FROM metrics").get()!["n"];
    await expect
      .poll(() => {
        index.apply(...story(1, "one", "completed"));
        return kept();
      })
      .toBeGreaterThan(0);
    index.apply(...story(3, "two", "completed"));
    expect(counts(ask(index).total)).toEqual({ submitted: 2, completed: 2 });
  });
});
