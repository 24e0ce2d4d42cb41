import { describe, expect, test } from "vitest";
import { create } from "@bufbuild/protobuf";
import { TaskFilterSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { deadLetterRange, taskRanges } from "../../../services/coordinator/index/filter-sql.ts";
import { dispatched, happened } from "../../support/index-log.ts";
import { type MemoryIndex, openMemoryIndex } from "./open-index.ts";

/** Six tasks of two types, t1 the oldest. */
function setup(): MemoryIndex {
  const index = openMemoryIndex();
  index.apply(
    dispatched(1, "t1", { createMs: 100, task: { labels: { env: "prod", team: "x" } } }),
    dispatched(2, "t2", { createMs: 200, task: { labels: { env: "prod", team: "y" } } }),
    dispatched(3, "t3", { createMs: 300, task: { type: "sum", queue: "sum", labels: { env: "test" } } }),
    dispatched(4, "t4", { createMs: 400, task: { type: "sum", queue: "fast" } }),
    dispatched(5, "t5", { createMs: 500, lane: "_delayed" }),
    dispatched(6, "t6", { createMs: 500, tenant: "other" }),
    happened(7, "t1", "completed", { eventMs: 900 }),
    happened(8, "t2", "failed", { eventMs: 950, event: { agentId: "a-2" } }),
    happened(9, "t3", "timed_out", { eventMs: 920, event: { agentId: "a-2" } }),
  );
  return index;
}

describe("a list of tasks", () => {
  test.for<[string, Parameters<MemoryIndex["list"]>[0], string[]]>([
    ["without a filter holds all, newest first", {}, ["t5", "t4", "t3", "t2", "t1"]],
    ["by state", { filter: { states: [TaskState.COMPLETED] } }, ["t1"]],
    ["by states", { filter: { states: [TaskState.COMPLETED, TaskState.SUBMITTED] } }, ["t4", "t1"]],
    ["by type", { filter: { types: ["sum"] } }, ["t4", "t3"]],
    ["by types, one of them twice", { filter: { types: ["sum", "echo", "sum"] } }, ["t5", "t4", "t3", "t2", "t1"]],
    ["by type and state", { filter: { types: ["sum"], states: [TaskState.TIMED_OUT] } }, ["t3"]],
    ["by queue", { filter: { queue: "fast" } }, ["t4"]],
    ["by the queue of its type", { filter: { queue: "sum" } }, ["t3"]],
    ["by queue and type, in the type's queue", { filter: { queue: "sum", types: ["sum"] } }, ["t3"]],
    ["by queue and type, in another queue", { filter: { queue: "fast", types: ["sum"] } }, ["t4"]],
    ["by queue and type", { filter: { queue: "fast", types: ["echo"] } }, []],
    ["by agent", { filter: { agentId: "a-2" } }, ["t3", "t2"]],
    ["by agent, type and queue", { filter: { agentId: "a-2", types: ["sum"], queue: "sum" } }, ["t3"]],
    ["by label", { filter: { labels: { env: "prod" } } }, ["t2", "t1"]],
    ["by all of its labels", { filter: { labels: { env: "prod", team: "x" } } }, ["t1"]],
    ["by label and state", { filter: { labels: { env: "prod" }, states: [TaskState.FAILED] } }, ["t2"]],
    ["from a time, which counts", { filter: { createTimeFrom: timestampFromMs(300) } }, ["t5", "t4", "t3"]],
    ["until a time, which doesn't count", { filter: { createTimeUntil: timestampFromMs(300) } }, ["t2", "t1"]],
    [
      "from a moment between two milliseconds",
      { filter: { createTimeFrom: { seconds: 0n, nanos: 300_000_001 } } },
      ["t5", "t4"],
    ],
    [
      "within a time, by label",
      {
        filter: {
          labels: { env: "prod" },
          createTimeFrom: timestampFromMs(150),
          createTimeUntil: timestampFromMs(250),
        },
      },
      ["t2"],
    ],
  ])("%s", ([, request, ids]) => {
    using index = setup();
    expect(index.ids(request)).toEqual(ids);
    const counted = Object.values(index.counts({ filter: request?.filter ?? {} })).reduce((a, b) => a + b, 0);
    expect(counted).toBe(ids.length);
    const paged: string[] = [];
    let pageToken = "";
    do {
      const page = index.list({ ...request, pageSize: 1, pageToken });
      paged.push(...page.tasks.map(({ taskId }) => taskId));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(paged).toEqual(ids);
  });

  test("shows a tenant its own tasks only", () => {
    using index = setup();
    expect(index.ids({}, "other")).toEqual(["t6"]);
    expect(index.ids({}, "nobody")).toEqual([]);
  });

  test("orders tasks of one millisecond by id, over pages", () => {
    using index = openMemoryIndex();
    index.apply(...["b", "d", "a", "c"].map((id, i) => dispatched(i + 1, id)));
    const first = index.list({ pageSize: 3 });
    expect(first.tasks.map(({ taskId }) => taskId)).toEqual(["d", "c", "b"]);
    expect(index.ids({ pageToken: first.nextPageToken })).toEqual(["a"]);
  });

  test("takes 1,000 for any larger page size, and 50 for none", () => {
    using index = openMemoryIndex();
    index.apply(...Array.from({ length: 1_100 }, (_, i) => dispatched(i + 1, `t${i}`, { createMs: i })));
    expect(index.ids({ pageSize: 2_000_000 })).toHaveLength(1_000);
    expect(index.ids()).toHaveLength(50);
  });

  test("ends a page before it is too large for NATS, and loses nothing by it", () => {
    using index = openMemoryIndex();
    const details = "x".repeat(16_000);
    for (let i = 1; i <= 100; i += 1) {
      index.apply(
        dispatched(i * 2, `t${i}`, { createMs: i }),
        happened(i * 2 + 1, `t${i}`, "failed", { event: { failure: { details } } }),
      );
    }
    const first = index.list({ pageSize: 100 });
    expect(first.tasks.length).toBeGreaterThan(30);
    expect(first.tasks.length).toBeLessThan(45);
    const second = index.ids({ pageSize: 100, pageToken: first.nextPageToken });
    expect(second[0]).toBe(`t${100 - first.tasks.length}`);
  });

  test.for<[string, string]>([
    ["is garbage", "garbage"],
    ["is empty after its digest", "0123456789abcdef"],
    ["has no digest", Buffer.from("1.t1").toString("base64url")],
  ])("refuses a page token that %s", ([, pageToken]) => {
    using index = setup();
    expect(() => index.list({ pageToken })).toThrow(MeshError);
    expect(violated(() => index.list({ pageToken }))).toEqual(["page_token"]);
  });

  test("refuses the page token of another filter, tenant or list, and takes one whose filter means the same", () => {
    using index = setup();
    const { nextPageToken: pageToken } = index.list({ pageSize: 1, filter: { types: ["echo", "sum"] } });
    expect(violated(() => index.list({ pageToken }))).toEqual(["page_token"]);
    expect(violated(() => index.list({ pageToken, filter: { types: ["echo", "sum"] } }, "other"))).toEqual([
      "page_token",
    ]);
    expect(violated(() => index.dead({ pageToken, filter: { types: ["echo", "sum"] } }))).toEqual(["page_token"]);
    expect(index.ids({ pageToken, filter: { types: ["sum", "echo", "sum"] } })).toEqual(["t4", "t3", "t2", "t1"]);
  });

  test("names everything that is wrong with a request at once", () => {
    using index = setup();
    const filter = { states: [TaskState.UNSPECIFIED], types: ["a b"], agentId: "*", queue: ">", labels: { "": "x" } };
    expect(violated(() => index.list({ pageSize: -1, pageToken: "x", filter }))).toEqual([
      "filter.states[0]",
      "filter.types[0]",
      "filter.agent_id",
      "filter.labels",
      "filter.queue",
      "page_size",
      "page_token",
    ]);
  });
});

describe("a list of dead letters", () => {
  test("holds what failed for good, newest failure first", () => {
    using index = setup();
    expect(index.dead().deadLetters.map(({ task }) => task?.taskId)).toEqual(["t2", "t3"]);
    const first = index.dead({ pageSize: 1 });
    expect(first.deadLetters[0]?.task?.status?.deadLetter).toBe(true);
    expect(index.dead({ pageToken: first.nextPageToken }).deadLetters.map(({ task }) => task?.taskId)).toEqual(["t3"]);
  });

  test("leaves out what was redriven unless asked, and names the last redrive", () => {
    using index = setup();
    index.apply(dispatched(20, "r1", { createMs: 2_000, task: { redriveOf: "t2" } }));
    index.apply(dispatched(21, "r2", { createMs: 3_000, task: { redriveOf: "t2" } }));
    expect(index.dead().deadLetters.map(({ task }) => task?.taskId)).toEqual(["t3"]);
    const all = index.dead({ includeRedriven: true }).deadLetters;
    expect(all.map(({ task, redrivenBy }) => [task?.taskId, redrivenBy])).toEqual([
      ["t2", "r2"],
      ["t3", ""],
    ]);
  });

  test("shows a dead letter again once its redrives are forgotten", () => {
    using index = setup();
    index.apply(dispatched(20, "r1", { createMs: 2_000, task: { redriveOf: "t2" } }));
    index.table.remove([{ tenant: "default", taskId: "r1" }]);
    expect(index.dead().deadLetters.map(({ task }) => task?.taskId)).toEqual(["t2", "t3"]);
  });

  test("is filtered like a list of tasks", () => {
    using index = setup();
    const ids = (filter: object): (string | undefined)[] =>
      index.dead({ filter }).deadLetters.map(({ task }) => task?.taskId);
    expect(ids({ states: [TaskState.TIMED_OUT] })).toEqual(["t3"]);
    expect(ids({ labels: { env: "prod" } })).toEqual(["t2"]);
    expect(ids({ types: ["sum"], queue: "sum", agentId: "a-2" })).toEqual(["t3"]);
    expect(ids({ createTimeFrom: timestampFromMs(300) })).toEqual(["t3"]);
    expect(violated(() => index.dead({ filter: { states: [TaskState.COMPLETED] } }))).toEqual(["filter.states"]);
  });
});

test("a queue holds tasks of the type that is called like it and of others, in one order", () => {
  using index = openMemoryIndex();
  index.apply(
    dispatched(1, "a", { createMs: 100, task: { type: "echo", queue: "echo" } }),
    dispatched(2, "b", { createMs: 200, task: { type: "sum", queue: "echo" } }),
    dispatched(3, "c", { createMs: 300, task: { type: "echo", queue: "echo" } }),
    dispatched(4, "d", { createMs: 400, task: { type: "echo", queue: "sum" } }),
    happened(5, "a", "completed"),
    happened(6, "b", "completed"),
  );
  const filter = { queue: "echo" };
  expect(index.ids({ filter })).toEqual(["c", "b", "a"]);
  const { nextPageToken: pageToken } = index.list({ filter, pageSize: 1 });
  expect(index.ids({ filter, pageToken })).toEqual(["b", "a"]);
  expect(index.ids({ filter: { types: ["echo"] } })).toEqual(["d", "c", "a"]);
  expect(index.ids({ filter: { types: ["echo"], queue: "echo" } })).toEqual(["c", "a"]);
  const counts = index.counts({ filter: { ...filter, createTimeFrom: timestampFromMs(150) } });
  expect(counts).toEqual({ [TaskState.SUBMITTED]: 1, [TaskState.COMPLETED]: 1 });
});

describe("the plans of the main lists", () => {
  test.for<[string, object]>([
    ["no filter", {}],
    ["states", { states: [TaskState.FAILED, TaskState.COMPLETED] }],
    ["types", { types: ["echo"] }],
    ["queue", { queue: "echo" }],
    ["types in a queue", { types: ["echo", "sum"], queue: "echo" }],
    ["agent", { agentId: "a-1" }],
    ["label", { labels: { env: "prod" } }],
    ["time", { createTimeFrom: timestampFromMs(1), createTimeUntil: timestampFromMs(2) }],
  ])("%s: ranges of an index, no scan and no sort", ([, filter]) => {
    using index = openMemoryIndex();
    for (const after of [undefined, { ms: 5, taskId: "t" }]) {
      const ranges = taskRanges("default", { filter: create(TaskFilterSchema, filter), conditions: [] }, after);
      expect(ranges.length).toBeGreaterThan(0);
      for (const plan of ranges.map((range) => planOf(index, range))) {
        expect(plan).not.toMatch(/SCAN|TEMP B-TREE/);
        if (after !== undefined) expect(plan).toMatch(/create_ms,task_id\)<|create_ms<|\(create_ms/);
      }
    }
  });

  test("dead letters: a range of an index, no scan and no sort", () => {
    using index = openMemoryIndex();
    for (const redriven of [true, false]) {
      const plan = planOf(
        index,
        deadLetterRange("default", { filter: undefined, conditions: [] }, redriven, { ms: 5, taskId: "t" }),
      );
      expect(plan).toMatch(/tasks_by_failure/);
      expect(plan).not.toMatch(/SCAN|TEMP B-TREE/);
    }
  });
});

function planOf(index: MemoryIndex, range: ReturnType<typeof deadLetterRange>): string {
  const sql = `EXPLAIN QUERY PLAN SELECT t.* FROM ${range.from} WHERE ${range.where} ORDER BY ${range.orderBy} LIMIT 50`;
  const steps = index.database.prepare(sql).all(...range.parameters);
  return steps.map(({ detail }) => String(detail)).join("; ");
}

function violated(act: () => unknown): string[] {
  try {
    act();
  } catch (error) {
    if (error instanceof MeshError && error.reason === "INVALID_REQUEST")
      return error.violations.map(({ field }) => field);
    throw error;
  }
  return [];
}
