import * as fc from "fast-check";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type ListTasksRequestSchema, TaskFilterSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { TaskSchema, TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { covers, type TaskScope } from "../../../lib/core/access/task-scope.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { matchesFilter } from "../../../services/coordinator/watch/filter-match.ts";
import { dispatched, happened } from "../../support/index-log.ts";
import { type MemoryIndex, openMemoryIndex } from "./open-index.ts";

type Filter = NonNullable<MessageInitShape<typeof ListTasksRequestSchema>["filter"]>;

interface Kind {
  readonly type: string;
  readonly queue: string;
  readonly labels: Record<string, string>;
  readonly state: "submitted" | "completed" | "failed" | "timed_out";
}

const STATES = {
  submitted: TaskState.SUBMITTED,
  completed: TaskState.COMPLETED,
  failed: TaskState.FAILED,
  timed_out: TaskState.TIMED_OUT,
};

const labels = fc.dictionary(fc.constantFrom("team", "env"), fc.constantFrom("a", "b"), { noNullPrototype: true });
const kind: fc.Arbitrary<Kind> = fc.record({
  type: fc.constantFrom("echo", "code-a", "code-b", "sum"),
  queue: fc.constantFrom("echo", "other"),
  labels,
  state: fc.constantFrom("submitted", "completed", "failed", "timed_out"),
});
const scopes: fc.Arbitrary<TaskScope> = fc.record(
  {
    rules: fc.array(
      fc.record({
        types: fc.array(fc.constantFrom("*", "echo", "code-*", "*-b", "none"), { minLength: 1, maxLength: 3 }),
        labels,
      }),
      { maxLength: 3 },
    ),
    taskId: fc.constantFrom("t0", "t1", "elsewhere"),
  },
  { requiredKeys: ["rules"] },
);
const filters: fc.Arbitrary<Filter> = fc.record(
  {
    types: fc.array(fc.constantFrom("echo", "code-a", "sum"), { maxLength: 2 }),
    labels,
    queue: fc.constantFrom("echo", "other"),
    agentId: fc.constantFrom("a-1", "a-2"),
    states: fc.array(fc.constantFrom(TaskState.FAILED, TaskState.TIMED_OUT), { maxLength: 2 }),
  },
  { requiredKeys: [] },
);

function filled(kinds: readonly Kind[]): MemoryIndex {
  const index = openMemoryIndex();
  let sequence = 0;
  for (const [i, { type, queue, labels, state }] of kinds.entries()) {
    sequence += 1;
    index.apply(dispatched(sequence, `t${i}`, { createMs: 1_000 + i, task: { type, queue, labels } }));
    if (state === "submitted") continue;
    sequence += 1;
    index.apply(happened(sequence, `t${i}`, state, { eventMs: 5_000 + i }));
  }
  return index;
}

/** What a list must show, newest first. */
function expected(kinds: readonly Kind[], filter: Filter, scope: TaskScope): readonly Kind[] {
  const wanted = create(TaskFilterSchema, filter);
  return kinds
    .map((kind, i) => {
      const { type, queue, labels, state } = kind;
      const agentId = state === "submitted" ? "" : "a-1";
      const task = create(TaskSchema, {
        taskId: `t${i}`,
        type,
        queue,
        labels,
        status: { state: STATES[state], agentId },
      });
      return { kind, task };
    })
    .filter(({ task }) => covers(scope, task) && matchesFilter(wanted, task))
    .map(({ kind }) => kind)
    .toReversed();
}

test("a list within a scope has full pages of exactly the tasks that are in the scope and satisfy the filter", () => {
  fc.assert(
    fc.property(
      fc.array(kind, { maxLength: 12 }),
      filters,
      scopes,
      fc.integer({ min: 1, max: 4 }),
      (kinds, filter, scope, pageSize) => {
        using index = filled(kinds);
        const seen: string[] = [];
        let pageToken = "";
        do {
          const page = index.list({ filter, pageSize, pageToken }, "default", scope);
          pageToken = page.nextPageToken;
          if (pageToken !== "") expect(page.tasks).toHaveLength(pageSize);
          seen.push(...page.tasks.map(({ taskId }) => taskId));
        } while (pageToken !== "");
        const all = expected(kinds, filter, scope);
        expect(seen.map((taskId) => kinds[Number(taskId.slice(1))])).toEqual(all);
        const counted = Object.values(index.counts({ filter }, scope)).reduce((sum, count) => sum + count, 0);
        expect(counted).toBe(all.length);
        const dead = all.filter(({ state }) => state === "failed" || state === "timed_out");
        expect(index.dead({ filter }, scope).deadLetters).toHaveLength(dead.length);
      },
    ),
    { numRuns: 300 },
  );
});

const ECHO: TaskScope = { rules: [{ types: ["echo"], labels: {} }] };

test("a page token is worth nothing to somebody who may see other tasks", () => {
  using index = filled(
    Array.from({ length: 3 }, () => ({ type: "echo", queue: "echo", labels: {}, state: "submitted" })),
  );
  const { nextPageToken: pageToken } = index.list({ pageSize: 1 }, "default", ECHO);
  expect(index.ids({ pageSize: 1, pageToken }, "default", ECHO)).toEqual(["t1"]);
  const other: TaskScope = { rules: [{ types: ["echo", "sum"], labels: {} }] };
  for (const scope of [undefined, other]) {
    expect(() => index.ids({ pageToken }, "default", scope)).toThrow(MeshError);
  }
});

test("a scope of more types than lead to their tasks one by one shows them all, and no others", () => {
  const kinds = Array.from({ length: 150 }, (_, i) => ({
    type: i % 2 === 0 ? `code-${i}` : `other-${i}`,
    queue: "echo",
    labels: i % 4 === 0 ? { team: "a" } : {},
    state: "failed" as const,
  }));
  using index = filled(kinds);
  const code: TaskScope = { rules: [{ types: ["code-*"], labels: {} }] };
  expect(index.ids({ pageSize: 1_000 }, "default", code)).toHaveLength(75);
  expect(index.counts({}, code)).toEqual({ [TaskState.FAILED]: 75 });
  expect(index.dead({ pageSize: 1_000 }, code).deadLetters).toHaveLength(75);
  const teams: TaskScope = { rules: [{ types: ["code-*"], labels: { team: "a" } }] };
  expect(index.ids({ pageSize: 1_000 }, "default", teams)).toHaveLength(38);
  expect(index.counts({ filter: { types: ["code-0", "code-2"] } }, teams)).toEqual({ [TaskState.FAILED]: 1 });
});

test("a scope is of the caller's tenant alone", () => {
  using index = openMemoryIndex();
  index.apply(dispatched(1, "mine"), dispatched(2, "theirs", { tenant: "other" }));
  expect(index.ids({}, "default", ECHO)).toEqual(["mine"]);
  expect(index.ids({}, "other", ECHO)).toEqual(["theirs"]);
});
