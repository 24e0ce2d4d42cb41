// What StreamResults promises, over a real nats-server.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ResultKind, type StreamResultsResponse } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { MeshError, type MeshErrorReason } from "../../../lib/core/mesh-error.ts";
import { eventSubject, liveFilter, OUTPUT_STREAM, outputSubject, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { type MeshLog, openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";
import { openTestStreams, shortOf, shortUntil } from "../../support/result-streams.ts";
import { TakenMessages } from "../../support/taken-messages.ts";

// Two attempts: the first is fenced and leaves a zombie, the second completes.
async function writeHaunted(writer: TaskWriter, afterBegin: () => Promise<void> = async () => {}): Promise<void> {
  await writer.begin("a", 1);
  await afterBegin();
  await writer.output("a", 1, "one", "two");
  await writer.output("a", 1, "three");
  const last = await writer.fence("a", 1);
  await writer.output("a", 1, "zombie");
  await writer.begin("b", 2, { agentId: "a", attempt: 1, outputSequence: undefined }, last);
  await writer.output("a", 1, "zombie again");
  await writer.output("b", 2, "four");
  const end = await writer.output("b", 2, "five", "six");
  await writer.complete("b", 2, end);
  await writer.output("a", 1, "zombie for ever");
}
const HAUNTED = ["state 2", "a1 one", "a1 two", "a1 three", "state 2", "b2 four", "b2 five", "b2 six", "state 3"];

async function reasonOf(stream: AsyncIterator<StreamResultsResponse>): Promise<MeshErrorReason> {
  try {
    while ((await stream.next()).done !== true);
  } catch (error) {
    if (error instanceof MeshError) return error.reason;
    throw error;
  }
  throw new Error("the stream ended well");
}

describe.for(["asked", "pushed"] as const)("a stream of results, %s,", (how) => {
  let log: MeshLog;
  beforeAll(async () => {
    log = await openMeshLog();
  });
  afterAll(async () => await log[Symbol.asyncDispose]());

  test("begins with a snapshot, says nothing before the first event, and ends after the terminal state", async () => {
    using coordinator = openTestStreams(log, {}, how);
    const writer = new TaskWriter(log, "begins");
    await writer.submit();
    const stream = coordinator.stream("begins");
    const first = await stream.next();
    expect(first.value).toMatchObject({ sequence: 0n, kind: { case: "snapshot", value: { taskId: "begins" } } });
    const second = stream.next();
    await writer.begin("a", 1);
    expect(shortOf((await second).value)).toBe("state 2");
    await writer.complete("a", 1, 0);
    const last = await stream.next();
    expect(last.value).toMatchObject({
      sequence: 2n,
      kind: { case: "stateChange", value: { status: { state: 3 }, result: { kind: { case: "json" } } } },
    });
    expect((await stream.next()).done).toBe(true);
    expect(coordinator.hub.topicCount).toBe(0);
    expect(coordinator.streams.openCount).toBe(0);
  });

  test("drops a zombie's outputs for a live reader as for a late one, on another coordinator", async () => {
    using coordinator = openTestStreams(log, {}, how);
    using other = openTestStreams(log, {}, how);
    const writer = new TaskWriter(log, "haunted");
    await writer.submit();
    const live = coordinator.stream("haunted");
    await live.next();
    const followed = shortUntil(live, "state 3");
    await writeHaunted(writer);
    expect(await followed).toEqual(HAUNTED);
    const late = await other.readAll("haunted");
    expect(late.slice(1).map(shortOf)).toEqual(HAUNTED);
    expect(late.map(({ sequence }) => Number(sequence))).toEqual(late.map((_, i) => i));
  });

  test("holds what came live behind a fence until an event decides, and then drops it", async () => {
    using coordinator = openTestStreams(log, {}, how);
    const writer = new TaskWriter(log, "fenced");
    await writer.submit();
    const live = coordinator.stream("fenced");
    await live.next();
    await writer.begin("a", 1);
    await writer.output("a", 1, "one");
    expect(await shortUntil(live, "a1 one")).toEqual(["state 2", "a1 one"]);
    const next = live.next();
    // The reader's own subscription is older, so whatever this one has, the reader was given before.
    const zombie = log.connection.subscribe(liveFilter(TENANT, "fenced"), { max: 2 });
    const last = await writer.fence("a", 1);
    await writer.output("a", 1, "zombie");
    for await (const _ of zombie);
    await writer.begin("b", 2, { agentId: "a", attempt: 1, outputSequence: undefined }, last);
    expect((await next).value).toMatchObject({ sequence: 3n, kind: { case: "stateChange" } });
    await writer.complete("b", 2, 0);
    expect(await shortUntil(live, "state 3")).toEqual(["state 3"]);
  });

  test("resumed at every cursor gives what an uninterrupted one gave, while the task runs and after it", async () => {
    using coordinator = openTestStreams(log, {}, how);
    using other = openTestStreams(log, {}, how);
    const writer = new TaskWriter(log, "resumed");
    await writer.submit();
    const resumedLive: Promise<StreamResultsResponse[]>[] = [];
    // Whoever reads on leaves a reader behind at each cursor, while the task is still running.
    const reading = (async () => {
      const all: StreamResultsResponse[] = [];
      for await (const message of { [Symbol.asyncIterator]: () => coordinator.stream("resumed") }) {
        all.push(message);
        resumedLive.push(other.readAll("resumed", message.cursor));
      }
      return all;
    })();
    await writeHaunted(writer);
    const all = await reading;
    expect(all.slice(1).map(shortOf)).toEqual(HAUNTED);
    for (const [i, live] of (await Promise.all(resumedLive)).entries()) {
      expect(live.slice(1)).toEqual(all.slice(i + 1));
      const late = await other.readAll("resumed", all[i]!.cursor);
      expect(late.slice(1)).toEqual(all.slice(i + 1));
      expect(late[0]).toMatchObject({ cursor: all[i]!.cursor, kind: { case: "snapshot" } });
    }
  });

  test("sends the kinds that were asked for, and the end", async () => {
    using coordinator = openTestStreams(log, {}, how);
    const writer = new TaskWriter(log, "kinds");
    await writer.submit();
    await writeHaunted(writer);
    const stream = coordinator.stream("kinds", "", [ResultKind.LOG]);
    expect(await shortUntil(stream, "state 3")).toEqual(["snapshot", "state 3"]);
  });

  test("to a thousand readers opens one subscription and no consumer", async () => {
    using coordinator = openTestStreams(log, {}, how);
    const writer = new TaskWriter(log, "crowd");
    await writer.submit();
    const consumers = async (): Promise<number[]> =>
      await Promise.all(
        [TASKS_STREAM, OUTPUT_STREAM].map(async (name) => (await log.manager.streams.info(name)).state.consumer_count),
      );
    const before = await consumers();
    const streams = Array.from({ length: 1_000 }, () => coordinator.stream("crowd"));
    await Promise.all(streams.map((stream) => stream.next()));
    const followed = streams.map((stream) => shortUntil(stream, "state 3"));
    expect(coordinator.hub.topicCount).toBe(1);
    await writeHaunted(writer, async () => expect(await consumers()).toEqual(before));
    for (const found of await Promise.all(followed)) expect(found).toEqual(HAUNTED);
    expect(await consumers()).toEqual(before);
  });

  test("that is not read holds next to nothing, slows nobody down, and goes on where it was", async () => {
    using coordinator = openTestStreams(log, {}, how);
    const writer = new TaskWriter(log, "slow");
    await writer.submit();
    const [slow, quick] = [coordinator.stream("slow"), coordinator.stream("slow")];
    await Promise.all([slow.next(), quick.next()]);
    await writer.begin("a", 1);
    // Both are in the middle of it; from here on, one of them stands still.
    await Promise.all([slow.next(), quick.next()]);
    const waiting = slow.next();
    const body = "x".repeat(8_000);
    const followed = shortUntil(quick, "state 3");
    let last = 0;
    for (let i = 0; i < 500; i += 1) last = await writer.output("a", 1, `${i} ${body}`);
    expect(coordinator.hub.heldBytes).toBeLessThanOrEqual(262_144);
    await writer.complete("a", 1, last);
    const quickly = await followed;
    expect(quickly).toHaveLength(501);
    const slowly = [shortOf((await waiting).value), ...(await shortUntil(slow, "state 3"))];
    expect(slowly).toEqual(quickly);
    for (const stream of [slow, quick]) expect((await stream.next()).done).toBe(true);
    expect(coordinator.hub.heldBytes).toBe(0);
  });

  test("says that it lives when nothing happens", async () => {
    using coordinator = openTestStreams(log, { keepAliveMs: 150 }, how);
    const writer = new TaskWriter(log, "silent");
    await writer.submit();
    await writer.begin("a", 1);
    const stream = coordinator.stream("silent");
    expect(await shortUntil(stream, "keepAlive")).toEqual(["snapshot", "state 2", "keepAlive"]);
    const { value } = await stream.next();
    expect(value).toMatchObject({ sequence: 1n, kind: { case: "keepAlive" } });
    await writer.complete("a", 1, 0);
    const rest = await coordinator.readAll("silent", value!.cursor);
    expect(rest.map(shortOf)).toEqual(["snapshot", "state 3"]);
  });

  test("of a task that is removed ends with NOT_FOUND", async () => {
    using coordinator = openTestStreams(log, { keepAliveMs: 150 }, how);
    for (const begun of [false, true]) {
      const taskId = `purged-${begun}`;
      const writer = new TaskWriter(log, taskId);
      await writer.submit();
      if (begun) await writer.begin("a", 1);
      const stream = coordinator.stream(taskId);
      await stream.next();
      if (begun) await stream.next();
      const reason = reasonOf(stream);
      await log.taskLog.purge(TENANT, taskId);
      expect(await reason).toBe("TASK_NOT_FOUND");
    }
  });

  test("is refused for an unknown task and for what is no cursor of the task", async () => {
    using coordinator = openTestStreams(log, {}, how);
    expect(await reasonOf(coordinator.stream("nobody"))).toBe("TASK_NOT_FOUND");
    const writer = new TaskWriter(log, "cursors");
    await writer.submit();
    const { value } = await coordinator.stream("cursors").next();
    expect(await reasonOf(coordinator.stream("cursors", "garbage"))).toBe("INVALID_REQUEST");
    expect(await reasonOf(coordinator.stream("begins", value!.cursor))).toBe("INVALID_REQUEST");
    await expect(coordinator.stream("cursors", "garbage").next()).rejects.toMatchObject({
      violations: [{ field: "cursor" }],
    });
  });

  test("whose next outputs are gone answers CURSOR_EXPIRED with a cursor that works", async () => {
    using coordinator = openTestStreams(log, {}, how);
    const writer = new TaskWriter(log, "expired-outputs");
    await writer.submit();
    await writer.begin("a", 1);
    await writer.output("a", 1, "one");
    await writer.output("a", 1, "two");
    const third = await writer.output("a", 1, "three");
    await writer.complete("a", 1, third);
    const all = await coordinator.readAll("expired-outputs");
    await log.manager.streams.purge(OUTPUT_STREAM, {
      filter: outputSubject(TENANT, "expired-outputs", "a", 1),
      seq: third,
    });
    for (const { cursor } of all.slice(0, 3)) {
      const failed = await coordinator.readAll("expired-outputs", cursor).catch((error: unknown) => error);
      expect(failed).toMatchObject({ reason: "CURSOR_EXPIRED" });
      const { metadata } = failed as MeshError;
      const rest = await coordinator.readAll("expired-outputs", metadata["first_available_cursor"]);
      expect(rest.slice(1)).toEqual(all.slice(4));
    }
    // Who has the second output misses nothing.
    expect((await coordinator.readAll("expired-outputs", all[3]!.cursor)).slice(1)).toEqual(all.slice(4));
  });

  test("whose next events are gone answers CURSOR_EXPIRED with a cursor that works", async () => {
    using coordinator = openTestStreams(log, {}, how);
    const writer = new TaskWriter(log, "expired-events");
    await writer.submit();
    await writeHaunted(writer);
    const all = await coordinator.readAll("expired-events");
    const filter = eventSubject(TENANT, "expired-events");
    await log.manager.streams.purge(TASKS_STREAM, { filter, seq: writer.last });
    const failed = await coordinator.readAll("expired-events").catch((error: unknown) => error);
    expect(failed).toMatchObject({ reason: "CURSOR_EXPIRED" });
    const rest = await coordinator.readAll("expired-events", (failed as MeshError).metadata["first_available_cursor"]);
    expect(rest.map(shortOf)).toEqual(["snapshot", "state 3"]);
    // Who stands behind the event that is gone gets all that remains.
    expect((await coordinator.readAll("expired-events", all[5]!.cursor)).slice(1)).toEqual(all.slice(6));
  });

  test("ends with DRAINING, also while it waits, and no new one begins", async () => {
    using coordinator = openTestStreams(log, {}, how);
    const writer = new TaskWriter(log, "drained");
    await writer.submit();
    const stream = coordinator.stream("drained");
    await stream.next();
    const reason = reasonOf(stream);
    coordinator.drain.abort();
    expect(await reason).toBe("DRAINING");
    await expect(coordinator.stream("drained").next()).rejects.toMatchObject({ reason: "DRAINING", retryDelayMs: 100 });
    expect(coordinator.streams.openCount).toBe(0);
    expect(coordinator.hub.topicCount).toBe(0);
  });

  test("above the limit is refused, until one has ended", async () => {
    using coordinator = openTestStreams(log, { maxStreams: 1 }, how);
    const writer = new TaskWriter(log, "limited");
    await writer.submit();
    const stream = coordinator.stream("limited");
    await stream.next();
    await expect(coordinator.stream("limited").next()).rejects.toMatchObject({
      reason: "TOO_MANY_STREAMS",
      retryDelayMs: 5_000,
    });
    await stream.return?.();
    expect((await coordinator.stream("limited").next()).done).toBe(false);
  });

  test("ends with the reason for which its caller leaves", async () => {
    using coordinator = openTestStreams(log, {}, how);
    const writer = new TaskWriter(log, "left");
    await writer.submit();
    const caller = new AbortController();
    const question = { tenant: TENANT, taskId: "left", cursor: "", kinds: [], signal: caller.signal };
    const messages = coordinator.streams.streamResults(question);
    const taken = new TakenMessages(messages);
    const stream = how === "asked" ? messages[Symbol.asyncIterator]() : taken;
    await stream.next();
    const next = stream.next();
    if (how === "asked") caller.abort(new Error("gone"));
    else taken.stop(new Error("gone"));
    await expect(next).rejects.toThrow("gone");
    expect(coordinator.hub.topicCount).toBe(0);
  });
});

describe("a long poll", () => {
  let log: MeshLog;
  beforeAll(async () => {
    log = await openMeshLog();
  });
  afterAll(async () => await log[Symbol.asyncDispose]());

  test("answers when the revision exceeds the known one, also by a new dispatch", async () => {
    using coordinator = openTestStreams(log);
    const writer = new TaskWriter(log, "polled");
    const submitted = await writer.submit();
    const wait = async (afterRevision: number | undefined, waitMs = 30_000) => {
      const { status } = await coordinator.streams.waitForStatus({
        tenant: TENANT,
        taskId: "polled",
        waitMs,
        afterRevision: afterRevision === undefined ? undefined : BigInt(afterRevision),
      });
      return status;
    };
    expect((await wait(0)).revision).toBe(BigInt(submitted));
    const begun = wait(submitted);
    await writer.begin("a", 1);
    expect((await begun).revision).toBe(BigInt(writer.last));
    await writer.event({ state: "backing_off", ended: { agentId: "a", attempt: 1, outputSequence: 0 } });
    const dispatched = wait(writer.last);
    const again = await writer.dispatch(submitted);
    expect(await dispatched).toMatchObject({ revision: BigInt(again), state: 1 });
    const ended = wait(undefined);
    await writer.complete("b", 2, 0);
    expect((await ended).state).toBe(3);
    expect(coordinator.hub.topicCount).toBe(0);
  });

  test("answers with what is when nothing happens in time, and not at all for an unknown task", async () => {
    using coordinator = openTestStreams(log);
    const writer = new TaskWriter(log, "patient");
    await writer.submit();
    const question = { tenant: TENANT, taskId: "patient", waitMs: 50 };
    expect((await coordinator.streams.waitForStatus(question)).status.state).toBe(1);
    await expect(coordinator.streams.waitForStatus({ ...question, taskId: "nobody" })).rejects.toMatchObject({
      reason: "TASK_NOT_FOUND",
    });
  });
});

describe.for(["asked", "pushed"] as const)("when NATS goes away and comes back, %s,", (how) => {
  test("streams go on without a loss or a repetition", async () => {
    await using log = await openMeshLog();
    using coordinator = openTestStreams(log, { keepAliveMs: 1_000 }, how);
    const writer = new TaskWriter(log, "restart");
    await writer.submit();
    await writer.begin("a", 1);
    await writer.output("a", 1, "before");
    const stream = coordinator.stream("restart");
    expect(await shortUntil(stream, "a1 before")).toEqual(["snapshot", "state 2", "a1 before"]);
    const rest = shortUntil(stream, "state 3");
    await log.nats.kill();
    await log.nats.restart();
    // The client library says nothing of a connection that is up again but by its answers.
    const answers = async (): Promise<boolean> =>
      await log.connection.flush().then(
        () => true,
        () => false,
      );
    await expect.poll(answers, { timeout: 20_000 }).toBe(true);
    const last = await writer.output("a", 1, "after");
    await writer.complete("a", 1, last);
    expect((await rest).filter((message) => message !== "keepAlive")).toEqual(["a1 after", "state 3"]);
  });
});
