import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { TaskFilterSchema, type WatchTasksResponse } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { DispatchSchema, TaskEventSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import type { TenantListener } from "../../../lib/nats/tenant-feed.ts";
import { stateFromWire } from "../../../lib/wire/state-codec.ts";
import { dispatchSubject, eventSubject } from "../../../lib/wire/subjects.ts";
import { MAX_WATCHES, MAX_WATCHES_OF_ONE, TaskWatches } from "../../../services/coordinator/watch/task-watches.ts";
import { MAX_WAITING } from "../../../services/coordinator/watch/watcher.ts";

const NOW_MS = 1_000_000;
const CLOCK: Clock = { now: () => NOW_MS, monotonicMs: () => 0 };
const TENANT = "default";

test("a submission is told when it stands in the log, then each event, with what the submission says of the task", async () => {
  const { listener, log, watch } = watching();
  const seen = watch();
  expect(await seen()).toBe("keepAlive");
  log.submit("t1", { type: "echo", queue: "q1" });
  listener().dispatch("t1");
  listener().event("t1", event("t1", { state: TaskState.WORKING, attempt: 1, agentId: "a1" }));
  listener().event("t1", event("t1", { state: TaskState.COMPLETED, attempt: 1, agentId: "a1" }));
  expect(await seen()).toBe("t1 submitted echo q1");
  expect(await seen()).toBe("t1 working echo q1 a1");
  expect(await seen()).toBe("t1 completed echo q1 a1");
  expect(log.reads).toEqual([["t1"]]);
});

test("a watch within a scope is told of the tasks in it, and not how many others it has missed", async () => {
  const { listener, log, watch } = watching();
  const all = watch();
  const some = watch(undefined, { rules: [{ types: ["echo"], labels: { team: "a" } }] });
  expect([await all(), await some()]).toEqual(["keepAlive", "keepAlive"]);
  log.submit("t1", { type: "other", labels: { team: "a" } });
  log.submit("t2", { labels: { team: "b" } });
  log.submit("t3", { labels: { team: "a" } });
  for (const taskId of ["t1", "t2", "t3"]) listener().dispatch(taskId);
  listener().event("t4", event("t4", { state: TaskState.WORKING }));
  expect([await all(), await all(), await all(), await all()]).toEqual([
    "t1 submitted other other",
    "t2 submitted echo echo",
    "t3 submitted echo echo",
    "missed 1",
  ]);
  expect([await some(), await some()]).toEqual(["t3 submitted echo echo", "missed 0"]);
});

test("a submission that is heard before it stands is looked for again", async () => {
  const { listener, log, watch } = watching();
  const seen = watch();
  await seen();
  log.onRead(() => log.submit("t1"));
  listener().dispatch("t1");
  expect(await seen()).toBe("t1 submitted echo echo");
  expect(log.reads).toEqual([["t1"], ["t1"]]);
});

test("a submission that is found only when its task has changed already is told before that change", async () => {
  const { listener, log, watch } = watching();
  const seen = watch();
  await seen();
  log.onRead(() => {
    log.submit("t1");
    listener().event("t1", event("t1", { state: TaskState.COMPLETED }));
  });
  listener().dispatch("t1");
  expect(await seen()).toBe("t1 submitted echo echo");
  expect(await seen()).toBe("t1 completed echo echo");
  listener().event("t1", event("t1", { state: TaskState.WORKING }));
  expect(await seen()).toBe("t1 working echo echo");
});

test("a repeated submission, and the dispatch of a further attempt, are no submissions", async () => {
  const { listener, log, watch } = watching();
  const seen = watch();
  await seen();
  log.submit("old", { storeMs: NOW_MS - 60_000 });
  log.submit("retried", { attempt: 2, fence: 7n });
  log.submit("new");
  for (const taskId of ["old", "retried", "new", "new"]) listener().dispatch(taskId);
  listener().event("old", event("old", { state: TaskState.CANCELED }));
  expect(await seen()).toBe("new submitted echo echo");
  expect(await seen()).toBe("old canceled echo echo");
});

test("a task that is submitted anew under the id of one that has ended is told with its own type", async () => {
  const { listener, log, watch } = watching();
  const seen = watch();
  await seen();
  log.submit("t1");
  listener().dispatch("t1");
  listener().event("t1", event("t1", { state: TaskState.COMPLETED }));
  expect(await seen()).toBe("t1 submitted echo echo");
  expect(await seen()).toBe("t1 completed echo echo");
  log.submit("t1", { type: "other", queue: "other" });
  listener().dispatch("t1");
  expect(await seen()).toBe("t1 submitted other other");
});

test.for<[MessageInitShape<typeof TaskFilterSchema>, string[]]>([
  [{ types: ["b"] }, ["b1 submitted b b", "b1 completed b b a2"]],
  [{ states: [TaskState.COMPLETED] }, ["a1 completed a a a1", "b1 completed b b a2"]],
  [{ agentId: "a1" }, ["a1 completed a a a1"]],
  [{ queue: "b" }, ["b1 submitted b b", "b1 completed b b a2"]],
  [{ labels: { team: "a" } }, ["a1 submitted a a", "a1 completed a a a1"]],
  [{ createTimeFrom: { seconds: 2n } }, ["b1 submitted b b", "b1 completed b b a2"]],
  [{ createTimeUntil: { seconds: 2n } }, ["a1 submitted a a", "a1 completed a a a1"]],
])("a watch tells what matches its filter, and nothing else: $1", async ([filter, wanted]) => {
  const { listener, log, watch } = watching();
  const seen = watch(filter);
  await seen();
  log.submit("a1", { type: "a", queue: "a", labels: { team: "a" }, createS: 1n });
  log.submit("b1", { type: "b", queue: "b", labels: { team: "b" }, createS: 2n });
  for (const taskId of ["a1", "b1"]) listener().dispatch(taskId);
  listener().event("a1", event("a1", { state: TaskState.COMPLETED, agentId: "a1" }));
  listener().event("b1", event("b1", { state: TaskState.COMPLETED, agentId: "a2" }));
  for (const next of wanted) expect(await seen()).toBe(next);
  listener().lost();
  expect(await seen()).toBe("missed 0");
});

test("no task is looked for that only events which nobody wants are about", async () => {
  const { listener, log, watch } = watching();
  const seen = watch({ states: [TaskState.FAILED] });
  await seen();
  log.submit("t1");
  listener().event("t1", event("t1", { state: TaskState.WORKING }));
  log.submit("t2");
  listener().event("t2", event("t2", { state: TaskState.FAILED }));
  expect(await seen()).toBe("t2 failed echo echo");
  expect(log.reads).toEqual([["t2"]]);
});

test("who does not read is told how many changes it has missed, at their place, and another watch misses nothing", async () => {
  const { listener, log, watch } = watching();
  const [slow, fast] = [watch(), watch()];
  expect([await slow(), await fast()]).toEqual(["keepAlive", "keepAlive"]);
  log.submit("t1");
  const tell = async (count: number, agentId: string): Promise<void> => {
    for (let i = 0; i < count; i += 1) listener().event("t1", event("t1", { state: TaskState.WORKING, agentId }));
    for (let i = 0; i < count; i += 1) expect(await fast()).toBe(`t1 working echo echo ${agentId}`);
  };
  for (let round = 0; round < 3; round += 1) await tell(500, "early");
  const { length: taken } = await take(slow, MAX_WAITING, "t1 working echo echo early");
  expect(taken).toBe(MAX_WAITING);
  expect(await slow()).toBe(`missed ${1_500 - MAX_WAITING}`);
  await tell(1, "late");
  expect(await slow()).toBe("t1 working echo echo late");
});

test("what the log cannot be asked about is counted as missed", async () => {
  const { listener, log, watch } = watching();
  const seen = watch();
  await seen();
  log.onRead(() => {
    throw new Error("the broker is away");
  });
  listener().event("t1", event("t1", { state: TaskState.WORKING }));
  expect(await seen()).toBe("missed 1");
});

test("watches share one feed, which is closed when the last one leaves", async () => {
  const { watches, feeds, watch } = watching();
  const [first, second] = [watch(), watch()];
  await Promise.all([first(), second()]);
  expect([feeds.opened, feeds.closed, watches.tenantCount]).toEqual([1, 0, 1]);
  await first.leave();
  expect([feeds.opened, feeds.closed]).toEqual([1, 0]);
  await second.leave();
  expect([feeds.opened, feeds.closed, watches.tenantCount]).toEqual([1, 1, 0]);
});

test("nobody takes all watches, and who is asked who they are has a share of them", async () => {
  const { watch } = watching();
  const opened = async (caller: string | undefined, count: number): Promise<Seen[]> => {
    const made = Array.from({ length: count }, () => watch(undefined, undefined, caller));
    await Promise.all(made.map((seen) => seen()));
    return made;
  };
  const own = await opened("acme key 1", MAX_WATCHES_OF_ONE);
  await expect(watch(undefined, undefined, "acme key 1")()).rejects.toMatchObject({ reason: "TOO_MANY_STREAMS" });
  await opened("acme key 2", 1);
  await own[0]!.leave();
  await opened("acme key 1", 1);
  await opened(undefined, MAX_WATCHES - MAX_WATCHES_OF_ONE - 1);
  await expect(watch()()).rejects.toMatchObject({ reason: "TOO_MANY_STREAMS" });
});

test("draining ends a watch with DRAINING", async () => {
  const { drain, watch } = watching();
  const seen = watch();
  await seen();
  const next = seen();
  drain.abort();
  await expect(next).rejects.toMatchObject({ reason: "DRAINING" });
});

interface Submission {
  readonly type?: string;
  readonly queue?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly createS?: bigint;
  readonly storeMs?: number;
  readonly attempt?: number;
  readonly fence?: bigint;
}

type Seen = (() => Promise<string>) & { leave(): Promise<void> };

/** Watches over a log and a feed that the test drives. */
function watching(): {
  readonly watches: TaskWatches;
  readonly listener: () => TenantListener;
  readonly drain: AbortController;
  readonly feeds: { opened: number; closed: number };
  readonly log: {
    readonly reads: (readonly string[])[];
    submit(taskId: string, submission?: Submission): void;
    /** Once, after the next read has found what stands. */
    onRead(act: () => void): void;
  };
  readonly watch: (filter?: MessageInitShape<typeof TaskFilterSchema>, scope?: TaskScope, caller?: string) => Seen;
} {
  const stored = new Map<string, StoredMessage>();
  const reads: (readonly string[])[] = [];
  const feeds = { opened: 0, closed: 0 };
  const drain = new AbortController();
  let listening: TenantListener | undefined;
  let act: (() => void) | undefined;
  let sequence = 0;
  const watches = new TaskWatches({
    clock: CLOCK,
    drain: drain.signal,
    openFeed: async (_tenant, listener) => {
      listening = listener;
      feeds.opened += 1;
      return {
        dispatchesOf: async (taskIds) => {
          reads.push(taskIds);
          const found = taskIds.flatMap((taskId) => stored.get(taskId) ?? []);
          const once = act;
          act = undefined;
          once?.();
          return found;
        },
        [Symbol.dispose]: () => void (feeds.closed += 1),
      };
    },
  });
  return {
    watches,
    listener: () => listening!,
    drain,
    feeds,
    log: {
      reads,
      onRead: (next) => (act = next),
      submit(taskId, { type = "echo", queue = type, labels = {}, createS = 1n, storeMs = NOW_MS, ...dispatch } = {}) {
        const task = { taskId, type, queue, labels: { ...labels }, createTime: { seconds: createS } };
        const message = create(DispatchSchema, { task, attempt: 1, ...dispatch });
        stored.set(taskId, {
          subject: dispatchSubject(TENANT, taskId, queue, 5),
          sequence: (sequence += 1),
          storeMs,
          body: toBinary(DispatchSchema, message),
          traceparent: "",
          tracestate: "",
        });
      },
    },
    watch(filter, scope, caller) {
      const wanted = filter === undefined ? undefined : create(TaskFilterSchema, filter);
      const signal = new AbortController().signal;
      const messages = watches.watch({ tenant: TENANT, caller, filter: wanted, scope, signal });
      const next = async (): Promise<string> => {
        const { value, done } = await messages.next();
        return done === true ? "end" : lineOf(value);
      };
      return Object.assign(next, { leave: async () => void (await messages.return()) });
    },
  };
}

async function take(seen: () => Promise<string>, count: number, each: string): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) {
    taken.push(await seen());
    expect(taken.at(-1)).toBe(each);
  }
  return taken;
}

function event(taskId: string, change: { state: TaskState; attempt?: number; agentId?: string }): StoredMessage {
  const message = create(TaskEventSchema, { ...change, eventTime: { seconds: 3n } });
  return {
    subject: eventSubject(TENANT, taskId),
    sequence: 1_000,
    storeMs: NOW_MS,
    body: toBinary(TaskEventSchema, message),
    traceparent: "",
    tracestate: "",
  };
}

function lineOf({ kind }: WatchTasksResponse): string {
  if (kind.case === "missed") return `missed ${kind.value.changeCount}`;
  if (kind.case !== "change") return String(kind.case);
  const { taskId, type, queue, status } = kind.value;
  return `${taskId} ${stateFromWire(status!.state)} ${type} ${queue} ${status!.agentId}`.trimEnd();
}
