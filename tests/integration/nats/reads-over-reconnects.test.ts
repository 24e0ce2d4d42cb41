// What may be asked twice, and was under way when the connection to the broker was lost, is asked again as soon as it stands, not when its
// time is up: else an agent that registers, or a submission to a queue, would wait for that after each restart of the broker.
import process from "node:process";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentSchema } from "../../../gen/mycel/v1/agent_pb.ts";
import { PRIORITIES } from "../../../lib/core/names.ts";
import { Lanes } from "../../../lib/nats/lanes.ts";
import { LogRoom } from "../../../lib/nats/log-room.ts";
import { Registry } from "../../../lib/nats/registry.ts";
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

test("lanes for an agent that registers", async () => {
  const options = { leaseMs: 30_000, depthLimit: 10, maxQueues: 10 };
  const lanes = new Lanes(log, options, () => performance.now());
  await lanes.lanesOf("t", "echo");
  const renewed = await lost(() => lanes.renew("t", "echo"));
  expect(renewed.map(({ priority }) => priority)).toEqual(PRIORITIES);
});

test("how much waits in a queue", async () => {
  // The limit is below what the process believes to be there: it has to look.
  let nowMs = 0;
  const lanes = new Lanes(log, { leaseMs: 30_000, depthLimit: 2, maxQueues: 10 }, () => nowMs);
  (await lanes.admit("t", "full", 2)).settle(2);
  nowMs += 1_000;
  await lost(() => lanes.admit("t", "full", 1));
});

test("how much room the log has", async () => {
  const room = new LogRoom(log, () => performance.now());
  const settle = await lost(() => room.admit(() => 100));
  settle();
});

test("an agent's registration", async () => {
  const unheard = (): void => undefined;
  await using registry = await Registry.open(log.connection, { onError: unheard, onGarbage: unheard });
  const agent = create(AgentSchema, { agentId: "a", name: "a" });
  await lost(() => registry.put("t", agent));
  expect(registry.get("t", "a")).toEqual(agent);
});

/** Asks a broker that stands still, and is killed and started again before it can answer. */
async function lost<T>(read: () => Promise<T>): Promise<T> {
  process.kill(log.nats.process.pid, "SIGSTOP");
  const answer = read();
  await log.nats.kill();
  await log.nats.restart();
  return await answer;
}
