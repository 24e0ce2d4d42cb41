// Queues as an operator sees them, over a real coordinator: listed, paused, resumed, emptied.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { QueueService } from "../../../gen/mycel/v1/queue_service_pb.ts";
import { Priority, TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await openMesh({ coordinators: 2, leaseMs: 1_000 });
});
afterAll(() => mesh[Symbol.asyncDispose]());

function clientsOf(url: string) {
  const transport = createGrpcTransport({ baseUrl: url });
  return { agents: createClient(AgentService, transport), queues: createClient(QueueService, transport) };
}

function json(input: JsonObject) {
  return { kind: { case: "json", value: fromJson(ValueSchema, input) } } as const;
}

function clients() {
  return clientsOf(mesh.urls[0]!);
}

async function stateOf(taskId: string): Promise<TaskState | undefined> {
  return (await clients().agents.getTaskStatus({ taskId })).status?.state;
}

describe("a queue", () => {
  test("is there from the first submission on, with what waits in it by priority, and since when", async () => {
    const { agents, queues } = clients();
    await expect(queues.getQueue({ queue: "counted" })).rejects.toSatisfy((error: ConnectError) => {
      expect(error.code).toBe(Code.NotFound);
      expect(readDetails(error).reason).toBe("QUEUE_NOT_FOUND");
      return true;
    });
    const first = await agents.submitTask({ type: "t", queue: "counted", priority: Priority.HIGH });
    await agents.submitTask({ type: "t", queue: "counted" });
    await agents.submitTask({ type: "t", queue: "counted" });
    await agents.submitTask({ type: "t", queue: "counted", start: { case: "delay", value: durationFromMs(60_000) } });

    const { queue } = await queues.getQueue({ queue: "counted" });

    expect(queue).toMatchObject({ name: "counted", waitingCount: 3n, inFlightCount: 0n, agentCount: 0, agentIds: [] });
    expect(queue?.oldestCreateTime).toEqual(first.status?.createTime);
    expect(queue?.lanes.map(({ priority, waitingCount }) => [priority, waitingCount])).toEqual([
      [Priority.CRITICAL, 0n],
      [Priority.HIGH, 1n],
      [Priority.NORMAL, 2n],
      [Priority.LOW, 0n],
    ]);
    expect(queue?.pause).toBeUndefined();
  });

  test("tells who pulls from it, and what is out", async () => {
    const { agents, queues } = clients();
    await using _agent = await mesh.startAgent("puller", { MYCEL_CONCURRENCY: "2" });
    const task = { type: "work", input: json({ until: "never" }) };
    const submitted = await Promise.all([1, 2, 3].map(() => agents.submitTask(task)));
    // Two run, and one more may be held in reserve.
    await expect
      .poll(async () => (await queues.getQueue({ queue: "work" })).queue?.inFlightCount, { timeout: 5_000 })
      .toBeGreaterThanOrEqual(2n);
    await expect.poll(async () => (await queues.getQueue({ queue: "work" })).queue?.runningCount).toBe(2);
    const { queue } = await queues.getQueue({ queue: "work" });
    expect(queue).toMatchObject({ agentCount: 1, agentIds: ["puller"], slotCount: 2 });
    expect(queue!.inFlightCount + queue!.waitingCount).toBe(3n);
    await Promise.all(submitted.map(({ taskId }) => agents.cancelTask({ taskId })));
  });

  test("is listed with the others by name, in pages", async () => {
    const { agents, queues } = clients();
    for (const queue of ["page-c", "page-a", "page-b"]) await agents.submitTask({ type: "t", queue });
    const seen: string[] = [];
    let pageToken = "page-";
    do {
      const page = await queues.listQueues({ pageSize: 2, pageToken });
      seen.push(...page.queues.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(seen.slice(0, 3)).toEqual(["page-a", "page-b", "page-c"]);
    expect(seen).toEqual(seen.toSorted());
    expect(seen).not.toContain("_delayed");
  });

  test("tells how fast work comes, once it was looked at for a while", async () => {
    const { agents, queues } = clients();
    await agents.submitTask({ type: "t", queue: "fast" });
    expect((await queues.getQueue({ queue: "fast" })).queue?.rates).toBeUndefined();
    await expect
      .poll(
        async () => {
          await agents.submitTask({ type: "t", queue: "fast" });
          return (await queues.getQueue({ queue: "fast" })).queue?.rates?.addedPerSecond ?? 0;
        },
        { timeout: 10_000 },
      )
      .toBeGreaterThan(0);
  });
});

describe("a paused queue", () => {
  test("says so on every coordinator, keeps since when, and takes a new reason and end", async () => {
    const [one, other] = mesh.urls.map(clientsOf) as [ReturnType<typeof clients>, ReturnType<typeof clients>];
    await one.agents.submitTask({ type: "t", queue: "told" });
    const { queue } = await one.queues.pauseQueue({ queue: "told", reason: "deploy" });
    expect(queue?.pause).toMatchObject({ reason: "deploy" });
    expect(queue?.pause?.untilTime).toBeUndefined();
    await expect.poll(async () => (await other.queues.getQueue({ queue: "told" })).queue?.pause).toEqual(queue?.pause);

    const untilTime = timestampFromMs(Date.now() + 3_600_000);
    const again = await other.queues.pauseQueue({
      queue: "told",
      reason: "longer",
      end: { case: "untilTime", value: untilTime },
    });

    expect(again.queue?.pause).toMatchObject({ pauseTime: queue?.pause?.pauseTime, untilTime, reason: "longer" });
    const { queue: resumed } = await one.queues.resumeQueue({ queue: "told" });
    expect(resumed?.pause).toBeUndefined();
    expect((await one.queues.resumeQueue({ queue: "told" })).queue?.pause).toBeUndefined();
  });

  test("ends its pause by itself", async () => {
    const { agents, queues } = clients();
    await agents.submitTask({ type: "t", queue: "short" });
    const end = { case: "duration", value: durationFromMs(1_000) } as const;
    expect((await queues.pauseQueue({ queue: "short", end })).queue?.pause?.untilTime).toBeDefined();
    await expect
      .poll(async () => (await queues.getQueue({ queue: "short" })).queue?.pause, { timeout: 5_000 })
      .toBeUndefined();
  });

  test("gives nothing out over a restart of every coordinator, and everything when it is resumed", async () => {
    await using own = await openMesh({ leaseMs: 1_000 });
    await using _agent = await own.startAgent("worker");
    const before = clientsOf(own.urls[0]!);
    const type = "work";
    const done = await before.agents.submitTask({ type });
    await before.agents.getTaskStatus({ taskId: done.taskId, wait: durationFromMs(10_000) });
    await before.queues.pauseQueue({ queue: type, reason: "over night" });
    const { taskId } = await before.agents.submitTask({ type });

    await own.coordinators[0]![Symbol.asyncDispose]();
    const after = clientsOf(await own.addCoordinator());

    expect((await after.queues.getQueue({ queue: type })).queue).toMatchObject({
      waitingCount: 1n,
      pause: { reason: "over night" },
    });
    const waited = await after.agents.getTaskStatus({ taskId, wait: durationFromMs(1_500) });
    expect(waited.status?.state).toBe(TaskState.SUBMITTED);
    await after.queues.resumeQueue({ queue: type });
    const { status } = await after.agents.getTaskStatus({ taskId, wait: durationFromMs(10_000) });
    expect(status?.state).toBe(TaskState.COMPLETED);
  });

  test("holds up no other queue of the agents that pull from it", async () => {
    const { agents, queues } = clients();
    await using _agent = await mesh.startAgent("both", { MYCEL_CONCURRENCY: "1" });
    await queues.purgeQueue({ queue: "work" });
    await queues.pauseQueue({ queue: "work" });
    const urgent = await agents.submitTask({ type: "work", priority: Priority.CRITICAL });
    const { taskId } = await agents.submitTask({
      type: "reverse",
      priority: Priority.LOW,
      input: json({ text: "abc" }),
    });
    const { status } = await agents.getTaskStatus({ taskId, wait: durationFromMs(10_000) });
    expect(status?.state).toBe(TaskState.COMPLETED);
    expect(await stateOf(urgent.taskId)).toBe(TaskState.SUBMITTED);
    await queues.resumeQueue({ queue: "work" });
    const done = await agents.getTaskStatus({ taskId: urgent.taskId, wait: durationFromMs(10_000) });
    expect(done.status?.state).toBe(TaskState.COMPLETED);
  });

  test("lets its tasks miss their deadlines", async () => {
    const { agents, queues } = clients();
    await agents.submitTask({ type: "t", queue: "deadlines" });
    await queues.pauseQueue({ queue: "deadlines" });
    const { taskId } = await agents.submitTask({
      type: "t",
      queue: "deadlines",
      timeouts: { scheduleToStart: durationFromMs(1_000) },
    });
    const { status } = await agents.getTaskStatus({ taskId, wait: durationFromMs(10_000) });
    expect(status).toMatchObject({
      state: TaskState.TIMED_OUT,
      failure: { reason: "SCHEDULE_TO_START_TIMEOUT" },
    });
  });
});

describe("a purge", () => {
  test("ends what waits in every way, with the reason, and can be repeated", async () => {
    const { agents, queues } = clients();
    const delayed = { case: "delay", value: durationFromMs(60_000) } as const;
    const waiting = await Promise.all(
      [{}, {}, { start: delayed }].map(
        async (task) => (await agents.submitTask({ type: "t", queue: "all", ...task })).taskId,
      ),
    );

    const answer = await queues.purgeQueue({ queue: "all", reason: "wrong input" });

    expect(answer).toMatchObject({ purgedCount: 3n, remainingCount: 0n });
    for (const taskId of waiting) {
      const { status } = await agents.getTaskStatus({ taskId });
      expect(status).toMatchObject({ state: TaskState.CANCELED, cancelReason: "queue purged: all: wrong input" });
    }
    expect(await queues.purgeQueue({ queue: "all" })).toMatchObject({ purgedCount: 0n, remainingCount: 0n });
    await expect.poll(async () => (await queues.getQueue({ queue: "all" })).queue?.waitingCount).toBe(0n);
  });

  test("ends only what is asked for", async () => {
    const { agents, queues } = clients();
    const submit = async (type: string, priority: Priority, delayMs = 0): Promise<string> => {
      const start = delayMs === 0 ? {} : { start: { case: "delay", value: durationFromMs(delayMs) } as const };
      return (await agents.submitTask({ type, queue: "some", priority, ...start })).taskId;
    };
    const tasks = {
      other: await submit("other", Priority.NORMAL),
      high: await submit("wanted", Priority.HIGH),
      low: await submit("wanted", Priority.LOW),
      later: await submit("wanted", Priority.LOW, 60_000),
    };
    const answer = await queues.purgeQueue({
      queue: "some",
      types: ["wanted"],
      priorities: [Priority.LOW],
      states: [TaskState.SUBMITTED],
    });
    expect(answer).toMatchObject({ purgedCount: 1n, remainingCount: 0n });
    expect(await stateOf(tasks.other)).toBe(TaskState.SUBMITTED);
    expect(await stateOf(tasks.high)).toBe(TaskState.SUBMITTED);
    expect(await stateOf(tasks.low)).toBe(TaskState.CANCELED);
    expect(await stateOf(tasks.later)).toBe(TaskState.SCHEDULED);
  });

  test("leaves alone what runs, and whatever completes meanwhile", async () => {
    const { agents, queues } = clients();
    await using _agent = await mesh.startAgent("busy", { MYCEL_CONCURRENCY: "1" });
    const submit = async (input: JsonObject) => (await agents.submitTask({ type: "work", input: json(input) })).taskId;
    await queues.purgeQueue({ queue: "work" });
    const running = await submit({ until: "go-on" });
    await expect.poll(() => stateOf(running), { timeout: 5_000 }).toBe(TaskState.WORKING);
    const waiting = await Promise.all(Array.from({ length: 10 }, () => submit({})));
    expect(await queues.purgeQueue({ queue: "work" })).toMatchObject({ purgedCount: 10n, remainingCount: 0n });
    expect(await Promise.all(waiting.map(stateOf))).toEqual(waiting.map(() => TaskState.CANCELED));
    expect(await stateOf(running)).toBe(TaskState.WORKING);

    const raced = await Promise.all(Array.from({ length: 60 }, () => submit({})));
    await writeFile(join(mesh.dir, "go-on"), "");
    let purged = 0n;
    for (let left = 1n; left > 0n;) {
      const answer = await queues.purgeQueue({ queue: "work", limit: 7 });
      purged += answer.purgedCount;
      left = answer.remainingCount;
    }
    const waits = raced.map((taskId) => agents.getTaskStatus({ taskId, wait: durationFromMs(10_000) }));
    const ends = (await Promise.all(waits)).map(({ status }) => status?.state);
    expect(BigInt(ends.filter((state) => state === TaskState.CANCELED).length)).toBe(purged);
    expect(ends.every((state) => state === TaskState.CANCELED || state === TaskState.COMPLETED)).toBe(true);
    const { status } = await agents.getTaskStatus({ taskId: running, wait: durationFromMs(10_000) });
    expect(status?.state).toBe(TaskState.COMPLETED);
  });

  test("ends no more than its limit, and says how many are left", async () => {
    const { agents, queues } = clients();
    const tasks = Array.from({ length: 25 }, () => ({ type: "t", queue: "limited" }));
    await agents.batchSubmitTasks({ tasks });
    expect(await queues.purgeQueue({ queue: "limited", limit: 10 })).toMatchObject({
      purgedCount: 10n,
      remainingCount: 15n,
    });
    expect(await queues.purgeQueue({ queue: "limited", limit: 10 })).toMatchObject({
      purgedCount: 10n,
      remainingCount: 5n,
    });
    expect(await queues.purgeQueue({ queue: "limited", limit: 10 })).toMatchObject({
      purgedCount: 5n,
      remainingCount: 0n,
    });
  });
});
