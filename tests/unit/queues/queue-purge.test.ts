// A purge over an index and a log in memory: what it bounds, what it passes over, and what it says is left.
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  type CountTasksRequest,
  CountTasksResponseSchema,
  type ListTasksRequest,
  ListTasksResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { Priority, TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { MeshError, taskNotFound, taskUnreadable } from "../../../lib/core/mesh-error.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { type PurgeOrder, purgeQueue, WAITING_STATES } from "../../../services/coordinator/queues/queue-purge.ts";

interface FakeTask {
  readonly taskId: string;
  readonly priority?: Priority;
  /** How its cancellation goes. Default: it is canceled. */
  readonly cancel?: () => Promise<boolean>;
}

/** An index that shows these tasks, two a page, and a log that cancels them. */
function mesh(
  tasks: readonly FakeTask[],
  options: { readonly asOfMs?: () => number; readonly cancelMs?: number } = {},
) {
  const canceled: string[] = [];
  const questions: (ListTasksRequest | CountTasksRequest)[] = [];
  let monotonicMs = 0;
  let nowMs = 1_000;
  const asOfTime = (): ReturnType<typeof timestampFromMs> => timestampFromMs((options.asOfMs ?? (() => nowMs))());
  return {
    canceled,
    questions,
    purge: (change: Partial<PurgeOrder> = {}) =>
      purgeQueue(
        {
          index: {
            countTasks: async (_tenant, request) => {
              questions.push(request);
              nowMs += 1;
              return create(CountTasksResponseSchema, { totalCount: BigInt(tasks.length), asOfTime: asOfTime() });
            },
            listTasks: async (_tenant, request) => {
              questions.push(request);
              const from = Number(request.pageToken);
              const page = tasks.slice(from, from + 2);
              return create(ListTasksResponseSchema, {
                tasks: page.map(({ taskId, priority = Priority.NORMAL }) => create(TaskSchema, { taskId, priority })),
                nextPageToken: from + 2 < tasks.length ? String(from + 2) : "",
              });
            },
          },
          lifecycle: {
            cancelWaiting: async (_tenant, taskId) => {
              monotonicMs += options.cancelMs ?? 0;
              const done = (await tasks.find((task) => task.taskId === taskId)?.cancel?.()) ?? true;
              if (done) canceled.push(taskId);
              return done;
            },
          },
          clock: { now: () => nowMs, monotonicMs: () => monotonicMs },
        },
        {
          tenant: "t",
          queue: "q",
          scope: undefined,
          types: [],
          priorities: [],
          states: WAITING_STATES,
          reason: "",
          limit: 100,
          signal: new AbortController().signal,
          ...change,
        },
      ),
  };
}

const named = (...ids: readonly string[]): FakeTask[] => ids.map((taskId) => ({ taskId }));

test("goes over every page, and asks for what waits in the queue only", async () => {
  const { purge, canceled, questions } = mesh(named("a", "b", "c", "d", "e"));
  expect(await purge({ types: ["x"] })).toEqual({ purged: 5, remaining: 0 });
  expect(canceled.toSorted()).toEqual(["a", "b", "c", "d", "e"]);
  for (const { filter } of questions) {
    expect(filter).toMatchObject({ queue: "q", types: ["x"], states: [1, 9, 11] });
  }
});

test("stops at its limit and says how many are left", async () => {
  const { purge, canceled } = mesh(named("a", "b", "c", "d", "e"));
  expect(await purge({ limit: 3 })).toEqual({ purged: 3, remaining: 2 });
  expect(canceled).toHaveLength(3);
});

test("stops when its time is over", async () => {
  const { purge } = mesh(named("a", "b", "c", "d", "e", "f"), { cancelMs: 5_000 });
  const { purged, remaining } = await purge();
  expect(purged).toBe(2);
  expect(remaining).toBe(4);
});

test("stops when nobody waits for its answer any more", async () => {
  const { purge, canceled } = mesh(named("a", "b"));
  await purge({ signal: AbortSignal.abort() });
  expect(canceled).toEqual([]);
});

test("counts neither what no longer waits, nor what is gone or can't be read", async () => {
  const { purge } = mesh([
    ...named("a"),
    { taskId: "runs", cancel: () => Promise.resolve(false) },
    { taskId: "gone", cancel: () => Promise.reject(taskNotFound("gone")) },
    { taskId: "garbage", cancel: () => Promise.reject(taskUnreadable()) },
    { taskId: "busy", cancel: () => Promise.reject(new MeshError("CONFLICT", "too fast")) },
    ...named("b"),
  ]);
  expect(await purge()).toEqual({ purged: 2, remaining: 0 });
});

test("of some priorities passes over the others, and says that more may be left while it has not seen all", async () => {
  const tasks = [
    { taskId: "a", priority: Priority.LOW },
    { taskId: "b", priority: Priority.HIGH },
    { taskId: "c", priority: Priority.LOW },
    { taskId: "d", priority: Priority.HIGH },
  ];
  const all = mesh(tasks);
  expect(await all.purge({ priorities: [Priority.LOW] })).toEqual({ purged: 2, remaining: 0 });
  expect(all.canceled).toEqual(["a", "c"]);
  expect(await mesh(tasks).purge({ priorities: [Priority.LOW], limit: 1 })).toEqual({ purged: 1, remaining: 1 });
});

test("waits for an index that lags, and gives up on one that goes on lagging", async () => {
  let asked = 0;
  const late = mesh(named("a"), { asOfMs: () => ((asked += 1) > 2 ? 10_000 : 0) });
  expect(await late.purge()).toEqual({ purged: 1, remaining: 0 });
  expect(asked).toBe(3);
  const leaving = new AbortController();
  const stuck = mesh(named("a"), { asOfMs: () => 0 }).purge({ signal: leaving.signal });
  leaving.abort();
  await expect(stuck).rejects.toMatchObject({ reason: "INDEX_UNAVAILABLE" });
});

test("ends what it is at when the broker goes away, and says so", async () => {
  const gone = new MeshError("BROKER_UNAVAILABLE", "gone");
  const { purge, canceled } = mesh([...named("a"), { taskId: "b", cancel: () => Promise.reject(gone) }, ...named("c")]);
  await expect(purge()).rejects.toBe(gone);
  expect(canceled).toEqual(["a"]);
});
