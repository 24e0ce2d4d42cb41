// WatchTasks over real processes: what one coordinator tells of tasks that another one takes.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, type MycelClient, type TaskWatchEvent } from "../../../sdk/client/index.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

let mesh: TestMesh;
let client: MycelClient;

beforeAll(async () => {
  mesh = await openMesh({ coordinators: 2 });
  await mesh.startAgent("worker");
  client = createClient({ url: mesh.urls[0]! });
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

test("a watch on one coordinator tells the submission, each state and the agent of a task that another one took", async () => {
  await using other = createClient({ url: mesh.urls[1]! });
  const watch = await begin(other, { types: ["work"] });
  const { taskId } = await client.submit("work", { workMs: 100 }, { labels: { team: "a" } });
  expect(await watch.linesOf(taskId, "completed")).toEqual([
    "submitted work 0 ",
    "working work 1 worker",
    "completed work 1 worker",
  ]);
});

test("a delayed task is told as scheduled, a bulk of tasks one by one, a submission that is repeated once", async () => {
  const queue = `q-${randomUUID().slice(0, 8)}`;
  const watch = await begin(client, { queue, states: ["scheduled", "submitted", "canceled"] });
  const taskIds = Array.from({ length: 20 }, () => `t-${randomUUID()}`);
  const tasks = taskIds.map((taskId) => ({ type: "work", taskId, queue }));
  await client.submitMany(tasks, { atomic: true });
  await client.submitMany(tasks);
  const { taskId } = await client.submit("work", {}, { queue, delayMs: 60_000 });
  await client.cancel(taskId);
  expect(await watch.linesOf(taskId, "canceled")).toEqual(["scheduled work 0 ", "canceled work 0 "]);
  const told = watch.seen.filter(({ task }) => task.queue === queue && task.taskId !== taskId);
  expect(told.map(({ state, task }) => `${state} ${task.taskId}`).sort()).toEqual(
    taskIds.map((one) => `submitted ${one}`).sort(),
  );
});

test("a watch goes on at another coordinator when its own drains, and says that it has missed something", async () => {
  await mesh.addCoordinator();
  const doomed = mesh.coordinators.at(-1)!;
  await using wandering = createClient({ urls: [mesh.urls.at(-1)!, mesh.urls[0]!] });
  const watch = await begin(wandering, {});
  doomed.signal("SIGTERM");
  expect(await watch.until(({ kind }) => kind === "missed")).toMatchObject({ kind: "missed", count: undefined });
  const { taskId } = await client.submit("work");
  expect((await watch.linesOf(taskId, "completed")).at(-1)).toBe("completed work 1 worker");
  expect(await doomed.exited).toBe(0);
});

type Change = Extract<TaskWatchEvent, { kind: "change" }>;

interface Watch {
  readonly seen: Change[];
  until(wanted: (event: TaskWatchEvent) => boolean): Promise<TaskWatchEvent>;
  /** Everything that was told of a task when it is told that it is in this state. */
  linesOf(taskId: string, state: string): Promise<string[]>;
}

async function begin(watcher: MycelClient, filter: Parameters<MycelClient["watchTasks"]>[0]): Promise<Watch> {
  const events = watcher.watchTasks(filter)[Symbol.asyncIterator]();
  const seen: Change[] = [];
  const until: Watch["until"] = async (wanted) => {
    for (;;) {
      const { value, done } = await events.next();
      if (done === true) throw new Error("the watch ended");
      if (value.kind === "change") seen.push(value);
      if (wanted(value)) return value;
    }
  };
  await until(({ kind }) => kind === "begun");
  return {
    seen,
    until,
    async linesOf(taskId, state) {
      await until((event) => event.kind === "change" && event.task.taskId === taskId && event.state === state);
      return seen
        .filter(({ task }) => task.taskId === taskId)
        .map(({ state: reached, task }) => `${reached} ${task.type} ${task.status!.attempt} ${task.status!.agentId}`);
    },
  };
}
