// Direct gets may be answered by a replica that lags behind. Nothing may be lost by what it does not know yet.
import { create } from "@bufbuild/protobuf";
import { createHandlerContext } from "@connectrpc/connect";
import { expect, test } from "vitest";
import {
  AgentService,
  GetTaskRequestSchema,
  GetTaskStatusRequestSchema,
  type StreamResultsResponse,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { stateOf } from "../../../lib/core/task.ts";
import { LiveHub } from "../../../lib/nats/live-hub.ts";
import { TIMERS_STREAM } from "../../../lib/wire/subjects.ts";
import { viewOf } from "../../../lib/wire/task-codec.ts";
import { EventReader } from "../../../lib/nats/event-reader.ts";
import { KeepAliveWheel } from "../../../services/coordinator/results/keep-alive-wheel.ts";
import { openResultStreams } from "../../../services/coordinator/results/stream-results.ts";
import { Sleeper } from "../../../services/coordinator/results/sleeper.ts";
import { awaitStatus } from "../../../services/coordinator/results/status-wait.ts";
import { taskRpcs } from "../../../services/coordinator/rpc/tasks.ts";
import { TENANT } from "../../support/mesh-log.ts";
import { openParts, type Parts } from "./open-parts.ts";
import { valuesOf } from "../../support/principals.ts";

const FAIL = { case: "fail" as const, value: { failure: { message: "no", retryable: true } } };
const BEGIN = { case: "begin" as const, value: { redelivery: true } };

const COMPLETE = { case: "complete" as const, value: {} };

/** Waits for a task's end as a long poll does. */
async function ended(parts: Parts, taskId: string, waitMs: number): Promise<TaskState | undefined> {
  const { connection } = parts.log;
  const clock = { now: () => Date.now(), monotonicMs: () => performance.now() };
  using hub = new LiveHub(connection);
  using wheel = new KeepAliveWheel(15_000);
  using waits = new Sleeper({ wheel, sleepers: new Set(), check: () => undefined });
  const logs = { taskLog: parts.taskLog, hub };
  const notify = (): void => waits.notify();
  return (await awaitStatus({ logs, waits, clock, notify }, { tenant: TENANT, taskId, waitMs })).status.state;
}

async function state(parts: Parts, taskId: string): Promise<string> {
  const record = await parts.taskLog.readLatest(TENANT, taskId);
  return record === undefined ? "gone" : stateOf(viewOf(record));
}

test("a delivery is not thrown away because a replica does not know its task yet", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "new" });
  const delivery = await parts.pull();
  parts.replica.upTo = 0;

  const answer = await parts.report(delivery, { kind: BEGIN });

  expect(parts.replica.staleReads).toBe(1);
  expect(answer.outcome.case).toBe("accepted");
  expect(await parts.unacknowledged()).toBe(1);
  expect(await state(parts, taskId)).toBe("working");
});

test("a delivery of a retry is not taken for a leftover of the attempt before it", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "retried", retryPolicy: { initialInterval: { nanos: 1_000_000 } } });
  await parts.report(await parts.pull(), { kind: FAIL });
  const backingOff = await parts.taskLog.readLatest(TENANT, taskId);
  parts.watchTimers();
  const retry = await parts.pull();
  parts.replica.upTo = backingOff?.event?.sequence ?? 0;

  const answer = await parts.report(retry, { kind: BEGIN, attempt: 2 });

  expect(parts.replica.staleReads).toBeGreaterThan(0);
  expect(answer.outcome.case).toBe("accepted");
  expect(await parts.unacknowledged()).toBe(1);
});

test("a failed attempt is not refused because a replica does not know that it began", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "begun" });
  const delivery = await parts.pull();
  const begun = await parts.report(delivery, { kind: { case: "begin", value: {} } });
  parts.replica.upTo = delivery.sequence;

  const fence = begun.outcome.case === "accepted" ? begun.outcome.value.fence : 0n;
  const answer = await parts.report(delivery, { kind: FAIL, fence });

  expect(answer.outcome.case).toBe("accepted");
  expect(await state(parts, taskId)).toBe("backing_off");
});

test("a timer is not thrown away because a replica does not know yet what it was set for", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "timed", retryPolicy: { initialInterval: { nanos: 1_000_000 } } });
  const delivery = await parts.pull();
  parts.replica.upTo = delivery.sequence;
  await parts.report(delivery, { kind: FAIL });
  parts.watchTimers();

  const retry = await parts.pull();

  expect(retry.sequence).toBeGreaterThan(delivery.sequence);
  expect(await state(parts, taskId)).toBe("submitted");
  await expect.poll(async () => (await parts.log.manager.streams.info(TIMERS_STREAM)).state.messages).toBe(0);
});

test("a second backoff is not lost behind a replica that still shows the first", async () => {
  await using parts = await openParts();
  const retryPolicy = { initialInterval: { nanos: 1_000_000 }, maximumAttempts: 3 };
  const { taskId } = await parts.submit({ taskId: "twice", retryPolicy });
  await parts.report(await parts.pull(), { kind: FAIL });
  const first = (await parts.taskLog.readLatest(TENANT, taskId))?.event?.sequence ?? 0;
  parts.watchTimers();
  const second = await parts.pull();
  parts.replica.upTo = first;
  await parts.report(second, { kind: FAIL, attempt: 2, fence: BigInt(first) });

  const third = await parts.pull();

  expect(third.sequence).toBeGreaterThan(second.sequence);
  expect(parts.replica.staleReads).toBeGreaterThan(0);
});

test("whoever cancels is told of the canceled task", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "canceled" });
  const { dispatch } = await parts.lifecycle.read(TENANT, taskId);
  parts.replica.upTo = dispatch.sequence;
  expect(stateOf(viewOf(await parts.lifecycle.cancel(TENANT, taskId, "enough")))).toBe("canceled");
});

test("whoever was told the end of a task gets its end from a replica that does not know it", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "ended" });
  const delivery = await parts.pull();
  await parts.report(delivery, { kind: COMPLETE });
  parts.replica.upTo = delivery.sequence;
  const rpcs = taskRpcs({
    lifecycle: parts.lifecycle,
    waitForStatus: () => Promise.reject(new Error("nobody waits")),
    explainTask: () => Promise.reject(new Error("nobody asks why")),
  });
  const context = (method: "getTask" | "getTaskStatus") =>
    createHandlerContext({
      service: AgentService,
      method: AgentService.method[method],
      protocolName: "connect",
      requestMethod: "POST",
      url: "http://127.0.0.1/",
      contextValues: valuesOf(),
    });

  const { status } = await rpcs.getTaskStatus(create(GetTaskStatusRequestSchema, { taskId }), context("getTaskStatus"));
  const { task } = await rpcs.getTask(create(GetTaskRequestSchema, { taskId }), context("getTask"));

  expect(parts.replica.staleReads).toBe(2);
  expect([status?.state, task?.status?.state]).toEqual([TaskState.COMPLETED, TaskState.COMPLETED]);
});

test("whoever waits hears of an end that a replica does not know when it is announced", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "announced" });
  const delivery = await parts.pull();
  parts.replica.upTo = delivery.sequence;
  const waiting = ended(parts, taskId, 10_000);
  await expect.poll(() => parts.replica.staleReads).toBe(1);

  await parts.report(delivery, { kind: COMPLETE });

  expect(await waiting).toBe(TaskState.COMPLETED);
  expect(parts.replica.staleReads).toBe(2);
});

test("whoever waits finds an end that was announced before, though a replica does not know it", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "announced-before" });
  const delivery = await parts.pull();
  await parts.report(delivery, { kind: COMPLETE });
  parts.replica.upTo = delivery.sequence;

  // Sooner than it would look again at intervals.
  expect(await ended(parts, taskId, 14_000)).toBe(TaskState.COMPLETED);
});

test("a reader that comes back is not shown an older state than it has read", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "resumed" });
  const delivery = await parts.pull();
  await parts.report(delivery, { kind: { case: "begin", value: {} } });
  const { connection, reader, outputLog } = parts.log;
  using hub = new LiveHub(connection);
  using streams = openResultStreams({
    taskLog: parts.taskLog,
    eventReader: new EventReader({ connection, reader }),
    outputLog,
    hub,
    clock: { now: () => Date.now(), monotonicMs: () => performance.now() },
    drain: new AbortController().signal,
  });
  const next = async (cursor: string, count: number): Promise<StreamResultsResponse> => {
    const messages: StreamResultsResponse[] = [];
    for await (const message of streams.streamResults({ tenant: TENANT, taskId, cursor, kinds: [] })) {
      if (messages.push(message) === count) break;
    }
    return messages.at(-1)!;
  };
  const { cursor, kind: read } = await next("", 2);
  expect(read).toMatchObject({ case: "stateChange", value: { status: { state: TaskState.WORKING } } });
  parts.replica.upTo = delivery.sequence;

  const { kind: snapshot } = await next(cursor, 1);

  expect(parts.replica.staleReads).toBe(1);
  expect(snapshot).toMatchObject({ case: "snapshot", value: { status: { state: TaskState.WORKING } } });
});
