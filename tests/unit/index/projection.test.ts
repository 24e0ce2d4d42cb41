import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { TaskTable } from "../../../services/coordinator/index/task-table.ts";
import { dispatched, happened } from "../../support/index-log.ts";
import { openMemoryIndex } from "./open-index.ts";

const DAY_MS = 86_400_000;
const json = { kind: { case: "bytes" as const, value: { data: new Uint8Array(10), contentType: "a/b" } } };

describe("what the log says of a task", () => {
  test.for<[string, StoredMessage[], TaskState]>([
    ["a dispatch alone is submitted", [dispatched(1, "t")], TaskState.SUBMITTED],
    ["a dispatch in the delayed queue is scheduled", [dispatched(1, "t", { lane: "_delayed" })], TaskState.SCHEDULED],
    ["an event after the dispatch is the state", [dispatched(1, "t"), happened(2, "t", "working")], TaskState.WORKING],
    [
      "a dispatch after a backoff is submitted again",
      [dispatched(1, "t"), happened(2, "t", "backing_off"), dispatched(3, "t", { attempt: 2 })],
      TaskState.SUBMITTED,
    ],
    [
      "a terminal event wins over a later dispatch",
      [dispatched(1, "t", { lane: "_delayed" }), happened(2, "t", "canceled"), dispatched(3, "t")],
      TaskState.CANCELED,
    ],
    [
      "a withdrawn definition keeps the end",
      [happened(2, "t", "canceled"), dispatched(3, "t", { lane: "_withdrawn" })],
      TaskState.CANCELED,
    ],
  ])("%s", ([, messages, state]) => {
    using index = openMemoryIndex();
    index.apply(...messages);
    expect(index.list().tasks.map((task) => task.status?.state)).toEqual([state]);
    expect(index.counts()).toEqual({ [state]: 1 });
  });

  test("a task is told in full, but without input and result", () => {
    using index = openMemoryIndex();
    index.apply(
      dispatched(1, "t", { createMs: 5_000, task: { labels: { a: "b" }, input: json } }),
      happened(2, "t", "completed", { eventMs: 6_000, event: { result: json } }),
    );
    const [task] = index.list().tasks;
    expect(task).toMatchObject({ taskId: "t", type: "echo", labels: { a: "b" } });
    expect(task?.input).toBeUndefined();
    expect(task?.result).toBeUndefined();
    expect(task?.status).toMatchObject({
      taskId: "t",
      state: TaskState.COMPLETED,
      agentId: "a-1",
      traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
      revision: 2n,
      createTime: timestampFromMs(5_000),
      endTime: timestampFromMs(6_000),
      expireTime: timestampFromMs(6_000 + DAY_MS),
    });
  });

  test("a task of which only an event is known is not shown until its definition comes", () => {
    using index = openMemoryIndex();
    index.apply(happened(2, "t", "failed"));
    expect(index.ids()).toEqual([]);
    expect(index.counts()).toEqual({});
    expect(index.dead().deadLetters).toEqual([]);
    index.apply(dispatched(3, "t", { lane: "_withdrawn" }));
    expect(index.ids()).toEqual(["t"]);
    expect(index.dead().deadLetters).toHaveLength(1);
  });

  test("an id that was purged unseen and submitted again is a new task", () => {
    using index = openMemoryIndex();
    index.apply(dispatched(1, "t", { task: { labels: { life: "old" } } }), happened(2, "t", "completed"));
    index.apply(dispatched(9, "t", { createMs: 9_000, task: { labels: { life: "new" } } }));
    expect(index.list().tasks[0]?.status).toMatchObject({ state: TaskState.SUBMITTED, attempt: 0, agentId: "" });
    expect(index.ids({ filter: { labels: { life: "old" } } })).toEqual([]);
    expect(index.ids({ filter: { labels: { life: "new" } } })).toEqual(["t"]);
    index.apply(happened(10, "t", "working"));
    expect(index.counts()).toEqual({ [TaskState.WORKING]: 1 });
  });

  test("an id that was purged unseen, submitted again and canceled before it started keeps its new end", () => {
    using index = openMemoryIndex();
    index.apply(dispatched(1, "t"), happened(2, "t", "completed"));
    index.apply(happened(10, "t", "canceled"), dispatched(11, "t", { createMs: 9_000, lane: "_withdrawn" }));
    expect(index.counts()).toEqual({ [TaskState.CANCELED]: 1 });
  });

  test("what can't be read is skipped, and the rest is applied", () => {
    using index = openMemoryIndex();
    const torn = { ...dispatched(1, "torn"), body: new Uint8Array([255, 255, 255]) };
    const foreign = { ...dispatched(2, "x"), subject: "task.default.x.zzz" };
    expect(index.apply(torn, foreign, dispatched(3, "t"))).toBe(2);
    expect(index.ids()).toEqual(["t"]);
    expect(index.table.position().position).toBe(3);
  });

  test("what can't be read of a task that nobody knows leaves no row", () => {
    using index = openMemoryIndex();
    expect(index.apply({ ...happened(1, "torn", "failed"), body: new Uint8Array([255, 255, 255]) })).toBe(1);
    expect(index.contents()).toEqual([[], [], [], []]);
  });
});

describe("a log of many tasks", () => {
  /** Valid lives of up to six tasks, interleaved. */
  const logs = fc
    .record({
      lives: fc.array(
        fc.constantFrom("done", "retried", "canceled", "withdrawn", "delayed", "open", "dead", "redrive"),
        {
          minLength: 1,
          maxLength: 6,
        },
      ),
      order: fc.array(fc.nat(5), { minLength: 40, maxLength: 40 }),
    })
    .map(({ lives, order }) => interleave(lives.map(stepsOf), order));

  test("replayed from any point, in any slices, gives the same rows", () => {
    fc.assert(
      fc.property(
        logs,
        fc.array(fc.nat(40), { maxLength: 4 }),
        fc.integer({ min: 1, max: 7 }),
        (log, replays, slice) => {
          using straight = openMemoryIndex();
          straight.apply(...log);
          using bumpy = openMemoryIndex();
          for (const from of [0, ...replays]) {
            for (let at = from; at < log.length; at += slice) bumpy.apply(...log.slice(at, at + slice));
          }
          expect(bumpy.contents()).toEqual(straight.contents());
        },
      ),
      { seed: 20_261_121, numRuns: 150 },
    );
  });

  test("applied by one holder of the index after the other gives the same rows", () => {
    fc.assert(
      fc.property(logs, fc.integer({ min: 1, max: 7 }), (log, slice) => {
        using straight = openMemoryIndex();
        straight.apply(...log);
        using handed = openMemoryIndex();
        for (let at = 0; at < log.length; at += slice) {
          const messages = log.slice(at, at + slice);
          new TaskTable(handed.database).apply({ messages, position: at + 1, created: "once" });
        }
        expect(handed.contents()).toEqual(straight.contents());
      }),
      { seed: 20_261_124, numRuns: 150 },
    );
  });

  test("a batch that could not be written is as if it had never come", () => {
    using index = openMemoryIndex();
    index.apply(dispatched(1, "t"));
    index.database.exec(
      "CREATE TRIGGER full BEFORE UPDATE ON log_position BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    );
    expect(() => index.apply(happened(2, "t", "working"), dispatched(3, "u"))).toThrow("disk full");
    index.database.exec("DROP TRIGGER full");
    expect(index.counts()).toEqual({ [TaskState.SUBMITTED]: 1 });
    index.apply(happened(2, "t", "working"), dispatched(3, "u"), happened(4, "u", "completed"));
    expect(index.counts()).toEqual({ [TaskState.WORKING]: 1, [TaskState.COMPLETED]: 1 });
  });

  test("of which any part comes again, doubled and late, gives the same rows", () => {
    fc.assert(
      fc.property(logs, fc.nat(40), fc.nat(40), (log, from, length) => {
        using straight = openMemoryIndex();
        straight.apply(...log);
        using bumpy = openMemoryIndex();
        bumpy.apply(...log.flatMap((message) => [message, message]));
        bumpy.apply(...log.slice(from, from + length));
        expect(bumpy.contents()).toEqual(straight.contents());
      }),
      { seed: 20_261_122, numRuns: 150 },
    );
  });

  test("the kept counts are what the rows add up to", () => {
    fc.assert(
      fc.property(logs, fc.nat(5), (log, gone) => {
        using index = openMemoryIndex();
        for (const message of log) index.apply(message);
        index.table.remove([{ tenant: "default", taskId: `t${gone}` }]);
        const rows = index.database
          .prepare("SELECT state, count(*) AS n FROM tasks WHERE state <> 0 GROUP BY state")
          .all();
        expect(index.counts()).toEqual(Object.fromEntries(rows.map(({ state, n }) => [state, n])));
      }),
      { seed: 20_261_123, numRuns: 150 },
    );
  });
});

type Step = (sequence: number) => StoredMessage;

function stepsOf(life: string, i: number): Step[] {
  const id = `t${i}`;
  const task = { labels: { life, i: String(i) } };
  const submit: Step = (n) => dispatched(n, id, { task, createMs: 1_000 + i });
  const event =
    (state: Parameters<typeof happened>[2], choice = {}): Step =>
    (n) =>
      happened(n, id, state, choice);
  const again: Step = (n) => dispatched(n, id, { task, createMs: 1_000 + i, attempt: 2 });
  const lives: Record<string, Step[]> = {
    done: [submit, event("working"), event("completed")],
    retried: [
      submit,
      event("working"),
      event("backing_off"),
      again,
      event("working", { event: { attempt: 2 } }),
      event("completed"),
    ],
    canceled: [submit, event("working"), event("canceled")],
    withdrawn: [event("canceled"), (n) => dispatched(n, id, { task, createMs: 1_000 + i, lane: "_withdrawn" })],
    delayed: [(n) => dispatched(n, id, { task, createMs: 1_000 + i, lane: "_delayed" }), again, event("completed")],
    open: [submit, event("working"), event("working", { event: { agentId: "a-2", attempt: 2 } })],
    dead: [submit, event("timed_out")],
    redrive: [(n) => dispatched(n, id, { task: { ...task, redriveOf: "t0" }, createMs: 1_000 + i }), event("failed")],
  };
  return lives[life] ?? [];
}

function interleave(lives: Step[][], order: readonly number[]): StoredMessage[] {
  const queues = lives.map((steps) => [...steps]);
  const log: StoredMessage[] = [];
  for (let turn = 0; queues.some((steps) => steps.length > 0); turn += 1) {
    const waiting = queues.filter((steps) => steps.length > 0);
    const step = waiting[(order[turn % order.length] ?? 0) % waiting.length]?.shift();
    // Gaps, as purges and deletions leave them.
    if (step !== undefined) log.push(step(turn * 3 + 1));
  }
  return log;
}
