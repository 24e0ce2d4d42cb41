// What a watch of all tasks tells over several connections.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type WatchTasksResponse, WatchTasksResponseSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { MycelError } from "../../../sdk/client/index.ts";
import { type TaskWatchEvent, watchAllTasks } from "../../../sdk/client/task-watch.ts";

const KEEP_ALIVE = message({ case: "keepAlive", value: {} });
const LOST = new MycelError("unavailable", "gone", { reason: "CONNECTION_LOST" });

test("a change, what is missed and where the watch begins are told; a keep-alive is not", async () => {
  const events = watch([[KEEP_ALIVE, change("t1"), KEEP_ALIVE, missed(7n), missed(0n), change("t2")]]);
  expect(await take(events, 5)).toEqual(["begun", "t1 completed", "missed 7", "missed undefined", "t2 completed"]);
});

test("after a connection is lost the watch goes on, and says at once that it has missed something", async () => {
  const events = watch([[KEEP_ALIVE, change("t1")], [], [KEEP_ALIVE], [KEEP_ALIVE, change("t2")]]);
  expect(await take(events, 5)).toEqual([
    "begun",
    "t1 completed",
    "missed undefined",
    "missed undefined",
    "t2 completed",
  ]);
});

test("a state that this version does not know is left out", async () => {
  const events = watch([[KEEP_ALIVE, change("t1", 99 as TaskState), change("t2")]]);
  expect(await take(events, 2)).toEqual(["begun", "t2 completed"]);
});

test("a watch that cannot begin gives up after as many tries as a call", async () => {
  const events = watch([], { maximumTries: 3 });
  await expect(take(events, 1)).rejects.toBe(LOST);
});

test("an error that another try would not mend ends the watch", async () => {
  const refused = new MycelError("invalid_argument", "no", { reason: "INVALID_REQUEST" });
  const open = async function* (): AsyncGenerator<WatchTasksResponse> {
    yield KEEP_ALIVE;
    throw refused;
  };
  const events = watchAllTasks({
    open,
    servers: 1,
    maximumTries: 9,
    reconnectTimeoutMs: 60_000,
    renews: false,
    signals: [],
  });
  await expect(take(events, 2)).rejects.toBe(refused);
});

test("a signal ends the watch", async () => {
  const leave = new AbortController();
  const events = watch([[KEEP_ALIVE]], { signals: [leave.signal] });
  await take(events, 1);
  leave.abort();
  await expect(take(events, 1)).rejects.toMatchObject({ code: "canceled" });
});

/** A watch over connections that bring these messages and are lost then. */
function watch(
  connections: readonly (readonly WatchTasksResponse[])[],
  change: Partial<Parameters<typeof watchAllTasks>[0]> = {},
): AsyncGenerator<TaskWatchEvent, void, undefined> {
  const left = [...connections];
  const open = async function* (): AsyncGenerator<WatchTasksResponse> {
    yield* left.shift() ?? [];
    throw LOST;
  };
  return watchAllTasks({
    open,
    servers: 2,
    maximumTries: 9,
    reconnectTimeoutMs: 60_000,
    renews: false,
    signals: [],
    ...change,
  });
}

async function take(events: AsyncGenerator<TaskWatchEvent, void, undefined>, count: number): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) {
    const { value } = await events.next();
    if (value === undefined) return taken;
    taken.push(
      value.kind === "change"
        ? `${value.task.taskId} ${value.state}`
        : value.kind === "missed"
          ? `missed ${value.count}`
          : value.kind,
    );
  }
  return taken;
}

function message(kind: MessageInitShape<typeof WatchTasksResponseSchema>["kind"] & object): WatchTasksResponse {
  return create(WatchTasksResponseSchema, { kind });
}

function change(taskId: string, state: TaskState = TaskState.COMPLETED): WatchTasksResponse {
  return message({ case: "change", value: { taskId, status: { state } } });
}

function missed(changeCount: bigint): WatchTasksResponse {
  return message({ case: "missed", value: { changeCount } });
}
