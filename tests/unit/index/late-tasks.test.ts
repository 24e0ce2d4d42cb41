import { expect, test } from "vitest";
import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { FIRST_DUE, lateTasks } from "../../../services/coordinator/index/due-rows.ts";
import { dispatched, happened } from "../../support/index-log.ts";
import { type MemoryIndex, openMemoryIndex } from "./open-index.ts";

/** When each late task was due. */
function late(index: MemoryIndex, untilMs = Number.MAX_SAFE_INTEGER): Record<string, number> {
  const rows = lateTasks(index.database, untilMs, FIRST_DUE, 100);
  return Object.fromEntries(rows.map(({ taskId, ms }) => [taskId, ms]));
}

test("a task is due when the first of its timers is, as far as the log has come", () => {
  using index = openMemoryIndex();
  const timeouts = { scheduleToClose: durationFromMs(60_000), startToClose: durationFromMs(5_000) };
  const start = timestampFromMs(3_000);
  index.apply(dispatched(1, "t", { lane: "_delayed", task: { timeouts, startTime: start } }), dispatched(2, "free"));
  expect(late(index)).toEqual({ t: 3_000 });
  index.apply(dispatched(3, "t", { task: { timeouts, startTime: start } }));
  expect(late(index)).toEqual({ t: 63_000 });
  index.apply(happened(4, "t", "working", { event: { attemptStartTime: timestampFromMs(4_000) } }));
  expect(late(index)).toEqual({ t: 11_000 });
  index.apply(happened(5, "t", "backing_off", { event: { nextAttemptTime: timestampFromMs(20_000) } }));
  expect(late(index)).toEqual({ t: 20_000 });
  index.apply(happened(6, "t", "canceled"));
  expect(late(index)).toEqual({});
});

test("only what was due by then is late, the longest wait first", () => {
  using index = openMemoryIndex();
  for (const [i, startMs] of [9_000, 7_000, 8_000].entries()) {
    index.apply(dispatched(i + 1, `t${i}`, { lane: "_delayed", task: { startTime: timestampFromMs(startMs) } }));
  }
  expect(Object.keys(late(index, 8_000))).toEqual(["t1", "t2"]);
  const [first] = lateTasks(index.database, 9_000, FIRST_DUE, 1);
  expect(lateTasks(index.database, 9_000, first!, 100).map(({ taskId }) => taskId)).toEqual(["t2", "t0"]);
});

test("what was looked after is late again only later, unless the log says something new", () => {
  using index = openMemoryIndex();
  const task = { startTime: timestampFromMs(3_000) };
  index.apply(dispatched(1, "a", { lane: "_delayed", task }), dispatched(2, "b", { lane: "_delayed", task }));
  const seen = lateTasks(index.database, 5_000, FIRST_DUE, 100);
  const backing = { event: { nextAttemptTime: timestampFromMs(4_000) } };
  index.apply(dispatched(3, "b", { task }), happened(4, "b", "backing_off", backing));
  index.table.postpone(seen, 9_000);
  expect(late(index)).toEqual({ a: 9_000, b: 4_000 });
  index.apply(happened(5, "a", "backing_off", backing), dispatched(6, "a", { task }));
  expect(late(index)).toEqual({ b: 4_000 });
});

test("looking for late tasks reads no others, however many are open", () => {
  using index = openMemoryIndex();
  const plan = index.database
    .prepare(
      "EXPLAIN QUERY PLAN SELECT row FROM tasks INDEXED BY tasks_due WHERE (due_ms, row) > (1, 1) AND due_ms <= 5 ORDER BY due_ms, row LIMIT 9",
    )
    .all();
  expect(plan.map((step) => String(step["detail"]))).toEqual([expect.stringContaining("SEARCH tasks USING")]);
});
