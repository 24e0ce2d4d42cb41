// A task that is listened to from before it is submitted: its results come without a look into the log, and from there if anything was lost.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { create } from "@bufbuild/protobuf";
import { SubmitTaskRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { EventReader } from "../../../lib/nats/event-reader.ts";
import type { TaskRecord } from "../../../lib/wire/task-codec.ts";
import { runRpcs } from "../../../services/coordinator/rpc/run.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import { announceLeader } from "../../support/advisories.ts";
import { type MeshLog, openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";
import { openTestStreams, shortOf, type TestStreams } from "../../support/result-streams.ts";
import { valuesOf } from "../../support/principals.ts";

/** Refuses to read events. */
class BlindReader extends EventReader {
  override read = (): never => {
    throw new Error("the events of the task were read");
  };
  override last = this.read;
}

async function storedOf(log: MeshLog, taskId: string): Promise<TaskRecord> {
  const record = await log.taskLog.readCurrent(TENANT, taskId);
  if (record === undefined) throw new Error(`${taskId} does not stand`);
  return { ...record, event: undefined };
}

describe("a task that is listened to before it is submitted", () => {
  let log: MeshLog;
  beforeAll(async () => {
    log = await openMeshLog();
  });
  afterAll(async () => await log[Symbol.asyncDispose]());

  const listen = ({ streams }: TestStreams, taskId: string) =>
    streams.listenToNew({ tenant: TENANT, taskId, kinds: [] });

  test("tells everything that became of it before anybody read, without a look into the log", async () => {
    using coordinator = openTestStreams(log, { eventReader: new BlindReader(log) });
    using results = listen(coordinator, "fast");
    const writer = new TaskWriter(log, "fast");
    await writer.submit();
    await writer.begin("a", 1);
    await writer.complete("a", 1, 0);
    const told = await Array.fromAsync(results.read(await storedOf(log, "fast")));
    expect(told.map(shortOf)).toEqual(["snapshot", "state 2", "state 3"]);
    expect(told.map(({ sequence }) => Number(sequence))).toEqual([0, 1, 2]);
  });

  test("tells the same as a late reader is told", async () => {
    using coordinator = openTestStreams(log);
    using results = listen(coordinator, "same");
    const writer = new TaskWriter(log, "same");
    await writer.submit();
    await writer.begin("a", 1);
    const end = await writer.output("a", 1, "one", "two");
    await writer.complete("a", 1, end);
    const told = await Array.fromAsync(results.read(await storedOf(log, "same")));
    const late = await coordinator.readAll("same");
    expect(told.slice(1)).toEqual(late.slice(1));
    expect(told.map(shortOf)).toEqual(["snapshot", "state 2", "a1 one", "a1 two", "state 3"]);
  });

  test("is looked up when what came live was lost", async () => {
    using coordinator = openTestStreams(log);
    using results = listen(coordinator, "lost");
    const writer = new TaskWriter(log, "lost");
    await writer.submit();
    await writer.begin("a", 1);
    announceLeader(log.connection, "MYCEL_TASKS");
    await log.connection.flush();
    await writer.complete("a", 1, 0);
    const told = await Array.fromAsync(results.read(await storedOf(log, "lost")));
    expect(told.map(shortOf)).toEqual(["snapshot", "state 2", "state 3"]);
  });

  test("is looked up when it stood already", async () => {
    using coordinator = openTestStreams(log);
    const writer = new TaskWriter(log, "stood");
    await writer.submit();
    await writer.begin("a", 1);
    using results = listen(coordinator, "stood");
    const reading = Array.fromAsync(results.read(undefined));
    await writer.complete("a", 1, 0);
    expect((await reading).map(shortOf)).toEqual(["snapshot", "state 2", "state 3"]);
  });

  test("is not told what became of an earlier one of its name, which ended and was purged meanwhile", async () => {
    using coordinator = openTestStreams(log);
    const before = new TaskWriter(log, "reused");
    await before.submit();
    using results = listen(coordinator, "reused");
    await before.complete("z", 1, 0);
    await log.taskLog.purge(TENANT, "reused");
    const writer = new TaskWriter(log, "reused");
    await writer.submit();
    const reading = Array.fromAsync(results.read(await storedOf(log, "reused")));
    await writer.begin("a", 1);
    await writer.complete("a", 1, 0);
    expect((await reading).map(shortOf)).toEqual(["snapshot", "state 2", "state 3"]);
  });

  test("leaves nothing behind if it is not read", () => {
    using coordinator = openTestStreams(log);
    const results = listen(coordinator, "unread");
    expect([coordinator.hub.topicCount, coordinator.streams.openCount]).toEqual([1, 1]);
    results[Symbol.dispose]();
    expect([coordinator.hub.topicCount, coordinator.streams.openCount]).toEqual([0, 0]);
  });

  test("is not submitted when there are too many streams already", async () => {
    using coordinator = openTestStreams(log, { maxStreams: 1 });
    using _ = listen(coordinator, "first");
    let submissions = 0;
    const submitter = {
      check: () => new Violations(),
      idFor: () => "second",
      place: () => {
        submissions += 1;
        throw new Error("submitted");
      },
    };
    const { runTask } = runRpcs({ submitter, listenToNew: coordinator.streams.listenToNew });
    const task = create(SubmitTaskRequestSchema, { type: "echo" });
    const context = { requestHeader: new Headers(), signal: new AbortController().signal, values: valuesOf() };
    const run = runTask({ task, kinds: [] } as never, context as never)[Symbol.asyncIterator]();
    await expect(run.next()).rejects.toMatchObject({ reason: "TOO_MANY_STREAMS" });
    expect(submissions).toBe(0);
  });
});
