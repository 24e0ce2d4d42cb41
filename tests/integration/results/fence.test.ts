// What a fence on an attempt's outputs promises, on a real nats-server.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeOutputBatch, encodeOutputBatch } from "../../../lib/wire/output-codec.ts";
import { outputSubject, OUTPUT_STREAM } from "../../../lib/wire/subjects.ts";
import { type MeshLog, openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";

describe("a fence", () => {
  let log: MeshLog;
  beforeAll(async () => {
    log = await openMeshLog();
  });
  afterAll(async () => await log[Symbol.asyncDispose]());

  async function subjectCount(subject: string): Promise<number> {
    const { state } = await log.manager.streams.info(OUTPUT_STREAM, { subjects_filter: subject });
    return state.subjects?.[subject] ?? 0;
  }

  test("names 0 where the attempt has no outputs, and stands as a marker without outputs", async () => {
    const writer = new TaskWriter(log, "fence-empty");
    expect(await writer.fence("a", 1)).toBe(0);
    const [marker] = await log.outputLog.read(writer.task, "a", 1, 0);
    expect(decodeOutputBatch(marker!.body)).toMatchObject({ fence: true, outputs: [] });
  });

  test("names the last output of this attempt and no other's", async () => {
    const writer = new TaskWriter(log, "fence-last");
    await writer.output("a", 1, "one");
    const last = await writer.output("a", 1, "two");
    await writer.output("a", 2, "another attempt");
    await writer.output("b", 1, "another agent");
    expect(await writer.fence("a", 1)).toBe(last);
  });

  test("is written once by however many coordinators", async () => {
    const writer = new TaskWriter(log, "fence-once");
    const last = await writer.output("a", 1, "one");
    expect(await writer.fence("a", 1)).toBe(last);
    expect(await writer.fence("a", 1)).toBe(last);
    const raced = await Promise.all(Array.from({ length: 5 }, () => writer.fence("b", 1)));
    expect(raced).toEqual([0, 0, 0, 0, 0]);
    expect(await subjectCount(outputSubject(TENANT, "fence-once", "a", 1))).toBe(2);
    expect(await subjectCount(outputSubject(TENANT, "fence-once", "b", 1))).toBe(1);
  });

  test("put down again behind a zombie's output names that output", async () => {
    const writer = new TaskWriter(log, "fence-zombie");
    await writer.output("a", 1, "one");
    await writer.fence("a", 1);
    const zombie = await writer.output("a", 1, "two");
    expect(await writer.fence("a", 1)).toBe(zombie);
  });

  test("falls on an agent that never stops publishing", async () => {
    const writer = new TaskWriter(log, "fence-flood");
    const flooding = new AbortController();
    const flood = async (): Promise<void> => {
      while (!flooding.signal.aborted) await writer.output("a", 1, "x");
    };
    await writer.output("a", 1, "first");
    const floods = Array.from({ length: 16 }, flood);
    const last = await writer.fence("a", 1);
    flooding.abort();
    await Promise.all(floods);
    expect(last).toBeGreaterThan(0);
    const subject = outputSubject(TENANT, "fence-flood", "a", 1);
    const [next] = await log.outputLog.read(writer.task, "a", 1, last);
    expect(next!.subject).toBe(subject);
    expect(decodeOutputBatch(next!.body).fence).toBe(true);
  });

  test("that an agent faked without naming what stood before it is looked behind", async () => {
    const writer = new TaskWriter(log, "fence-fake");
    const last = await writer.output("a", 1, "one");
    for (let i = 0; i < 20; i += 1) await writer.output("b", 1, "in between");
    const subject = outputSubject(TENANT, "fence-fake", "a", 1);
    await log.publisher.publish({ subject, body: encodeOutputBatch({ fence: true }) });
    expect(await writer.fence("a", 1)).toBe(last);
  });

  test("knows its outputs from others'", async () => {
    const writer = new TaskWriter(log, "fence-holds");
    const mine = await writer.output("a", 1, "one");
    const other = await writer.output("b", 1, "two");
    expect(await log.outputLog.holds(writer.task, "a", 1, mine)).toBe(true);
    expect(await log.outputLog.holds(writer.task, "a", 1, other)).toBe(false);
    expect(await log.outputLog.holds(writer.task, "a", 1, other + 1_000)).toBe(false);
  });
});
