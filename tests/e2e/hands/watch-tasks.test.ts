// WatchTasks over real processes: what one coordinator tells of tasks that another one takes.
import { randomUUID } from "node:crypto";
import { connect } from "node:http2";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  AgentService,
  WatchTasksRequestSchema,
  type WatchTasksResponse,
  WatchTasksResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
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
  // Of a task that is canceled at once, the end may be all that is told.
  await watch.linesOf(taskId, "scheduled");
  await client.cancel(taskId);
  expect(await watch.linesOf(taskId, "canceled")).toEqual(["scheduled work 0 ", "canceled work 0 "]);
  // The order among tasks is not promised.
  const told = () => watch.seen.filter(({ task }) => task.queue === queue && task.taskId !== taskId);
  while (told().length < taskIds.length) await watch.until(({ kind }) => kind === "change");
  expect(
    told()
      .map(({ state, task }) => `${state} ${task.taskId}`)
      .sort(),
  ).toEqual(taskIds.map((one) => `submitted ${one}`).sort());
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

test("a reader that stands still holds nothing up, and then learns how many changes it has missed", async () => {
  const type = `nobody-${randomUUID().slice(0, 8)}`;
  await using slow = await openStandingReader(mesh.urls[0]!, type);
  const watch = await begin(client, { types: [type] });
  const tasks = Array.from({ length: 4_000 }, () => ({ type, labels: { filler: "x".repeat(200) } }));
  await client.submitMany(tasks);
  // Another one reads on meanwhile; whatever comes at once may be too much for it, too.
  let passed = 0;
  await watch.until((event) => {
    passed += event.kind === "missed" ? (event.count ?? 0) : 1;
    return passed === tasks.length;
  });
  expect(slow.seen).toHaveLength(0);
  slow.read();
  const counted = (): number =>
    slow.seen.reduce(
      (sum, { kind }) =>
        sum + (kind.case === "missed" ? Number(kind.value.changeCount) : kind.case === "change" ? 1 : 0),
      0,
    );
  await expect.poll(counted, { timeout: 20_000 }).toBe(tasks.length);
  const changes = slow.seen.filter(({ kind }) => kind.case === "change");
  expect(changes.length).toBeGreaterThan(1_000);
  expect(changes.length).toBeLessThan(tasks.length);
});

/** A caller that takes nothing from its connection until it is told to. */
async function openStandingReader(
  url: string,
  type: string,
): Promise<AsyncDisposable & { readonly seen: readonly WatchTasksResponse[]; read(): void }> {
  const session = connect(url, { settings: { initialWindowSize: 65_535 } });
  const stream = session.request({
    ":method": "POST",
    ":path": `/${AgentService.typeName}/WatchTasks`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => undefined);
  const body = toBinary(WatchTasksRequestSchema, {
    $typeName: "mycel.v1.WatchTasksRequest",
    filter: { $typeName: "mycel.v1.TaskFilter", states: [], types: [type], agentId: "", labels: {}, queue: "" },
  });
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  stream.end(Buffer.concat([head, body]));
  await new Promise((resolve) => stream.once("response", resolve));
  const seen: WatchTasksResponse[] = [];
  let rest = Buffer.alloc(0);
  return {
    seen,
    read() {
      stream.on("data", (piece: Buffer) => {
        rest = Buffer.concat([rest, piece]);
        while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
          const end = 5 + rest.readUInt32BE(1);
          seen.push(fromBinary(WatchTasksResponseSchema, rest.subarray(5, end)));
          rest = rest.subarray(end);
        }
      });
    },
    async [Symbol.asyncDispose]() {
      session.destroy();
    },
  };
}

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
