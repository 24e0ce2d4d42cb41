// Reads that were under way when the connection to the broker was lost are asked again as soon as it stands, not when their time is up.
import process from "node:process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readFromLeader } from "../../../lib/nats/stream-leader.ts";
import { TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { type MeshLog, openMeshLog, TaskWriter } from "../../support/mesh-log.ts";

let log: MeshLog;
let dispatch: number;

beforeAll(async () => {
  log = await openMeshLog();
  dispatch = await new TaskWriter(log, "some-task").submit();
});

afterAll(async () => {
  await log[Symbol.asyncDispose]();
});

test.for([
  ["one message", { seq: 1 }],
  ["many messages", { seq: 1, next_by_subj: ">", batch: 10 }],
] as const)("a direct read of %s", async ([, query]) => {
  const read = await lost(() => log.reader.read(TASKS_STREAM, query));
  expect(read.map(({ sequence }) => sequence)).toEqual([dispatch]);
});

test("a read from the leader", async () => {
  const read = await lost(() => readFromLeader(log.connection, TASKS_STREAM, { seq: dispatch }));
  expect(read?.sequence).toBe(dispatch);
});

/** Asks a broker that stands still, and is killed and started again before it can answer. */
async function lost<T>(read: () => Promise<T>): Promise<T> {
  process.kill(log.nats.process.pid, "SIGSTOP");
  const answer = read();
  await log.nats.kill();
  await log.nats.restart();
  return await answer;
}
