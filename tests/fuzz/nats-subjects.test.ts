// What anybody who reaches the broker can send to coordinators and agents: none of it may stop them, make them do harm in their own
// name, or get in the way of the others.
import { create, fromBinary, fromJson, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  HeartbeatRequestSchema,
  HeartbeatResponseSchema,
  type ReportRequest,
  ReportRequestSchema,
  ReportResponseSchema,
  ReportSchema,
} from "../../gen/mycel/v1/agent_protocol_pb.ts";
import { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import { TaskState } from "../../gen/mycel/v1/task_pb.ts";
import { inboxPrefix } from "../../lib/wire/subjects.ts";
import type { TestMesh, TestProcess } from "../support/processes.ts";
import { FUZZ_SEED, randomFrom, tries } from "./fuzz-run.ts";
import { messageOf } from "./message-arbitrary.ts";
import { garbageFor, REPLIES } from "./nats-garbage.ts";
import { openRawNats, type RawNats } from "./raw-nats.ts";
import { alarmsIn, expectUnharmed, openWatchedMesh, vitalsOf } from "./vitals.ts";

const random = randomFrom(FUZZ_SEED);

let mesh: TestMesh;
let agent: TestProcess;
let connection: NatsConnection;
let anybody: RawNats;
let rpc: Client<typeof AgentService>;
beforeAll(async () => {
  mesh = await openWatchedMesh();
  agent = await mesh.startAgent("live-agent");
  connection = await connect({ servers: mesh.nats.url });
  anybody = await openRawNats(mesh.nats.url);
  rpc = createClient(AgentService, createGrpcTransport({ baseUrl: mesh.urls[0]! }));
});
afterAll(async () => {
  await anybody[Symbol.asyncDispose]();
  await connection.close();
  await mesh[Symbol.asyncDispose]();
});

/** What a process of this name has subscribed to. */
async function filtersOf(name: string): Promise<string[]> {
  const response = await fetch(`${mesh.nats.monitorUrl}/connz?subs=1`);
  const { connections } = (await response.json()) as {
    readonly connections: readonly { readonly name?: string; readonly subscriptions_list?: readonly string[] }[];
  };
  const own = connections.filter((entry) => entry.name === name);
  return [...new Set(own.flatMap(({ subscriptions_list: list = [] }) => list))];
}

async function sizes(): Promise<Record<string, number>> {
  const streams = (await jetstreamManager(connection)).streams.list();
  const found: Record<string, number> = {};
  for await (const { config, state } of streams) found[config.name] = state.last_seq;
  return found;
}

async function expectWorkDone(): Promise<void> {
  const value = fromJson(ValueSchema, { text: "abc" });
  const { taskId } = await rpc.submitTask({ type: "reverse", input: { kind: { case: "json", value } } });
  const { status } = await rpc.getTaskStatus({ taskId, wait: { seconds: 20n } });
  expect(status?.state).toBe(TaskState.COMPLETED);
}

function encodable(request: ReportRequest): Uint8Array<ArrayBuffer> | undefined {
  try {
    return toBinary(ReportRequestSchema, request);
  } catch {
    // What no library can encode, no library sends.
    return undefined;
  }
}

test("a coordinator answers no agent where the broker, a log or somebody else would take the answer for a command", async () => {
  await rpc.submitTask({ taskId: "standing", type: "nobody" });
  const before = await sizes();
  // The answer to a sign of life of an unknown agent, and to no reports, is empty: just what the API takes as "all of it".
  for (const verb of ["heartbeat", "report"]) {
    for (const reply of REPLIES) {
      await anybody.publish({ subject: `mycel.agent.default.ghost.${verb}`, reply, body: new Uint8Array() });
    }
  }
  await connection.flush();
  const answer = await connection
    .request("mycel.agent.default.ghost.heartbeat", new Uint8Array(), { timeout: 300 })
    .catch(() => undefined);
  expect(answer).toBe(undefined);
  expect(await sizes()).toMatchObject({ MYCEL_TASKS: before["MYCEL_TASKS"]!, MYCEL_TIMERS: before["MYCEL_TIMERS"]! });
  expect(await rpc.getTask({ taskId: "standing" })).toMatchObject({ task: { taskId: "standing" } });
  expect((await rpc.listAgents({})).agents.map(({ agentId }) => agentId)).toEqual(["live-agent"]);
});

test("an agent is answered in an inbox of its own", async () => {
  const own = await connect({ servers: mesh.nats.url, inboxPrefix: inboxPrefix("default", "live-agent") });
  const sign = toBinary(HeartbeatRequestSchema, create(HeartbeatRequestSchema, { running: 0 }));
  const answer = await own.request("mycel.agent.default.live-agent.heartbeat", sign);
  expect(fromBinary(HeartbeatResponseSchema, answer.data)).toMatchObject({ registered: true });
  await own.close();
});

test("a report that nests deeper than any parser goes is refused by itself, and its neighbours are answered", async () => {
  const own = await connect({ servers: mesh.nats.url, inboxPrefix: inboxPrefix("default", "live-agent") });
  const delivery = "$JS.ACK.MYCEL_TASKS.default=work=5.1.1.1.1.1";
  const nested = (levels: number): object =>
    levels === 0
      ? { kind: { case: "boolValue", value: true } }
      : { kind: { case: "listValue", value: { values: [nested(levels - 1)] } } };
  const report = (levels: number): object => ({
    taskId: "no-such-task",
    attempt: 1,
    delivery,
    kind: { case: "complete", value: { result: { kind: { case: "json", value: nested(levels) } } } },
  });
  const request = create(ReportRequestSchema, {
    reports: [report(60), { taskId: "no-such-task", delivery, kind: { case: "begin", value: {} } }],
  });
  const answer = await own.request("mycel.agent.default.live-agent.report", toBinary(ReportRequestSchema, request), {
    timeout: 3_000,
  });
  await own.close();
  expect(fromBinary(ReportResponseSchema, answer.data).results).toMatchObject([
    { outcome: { case: "refused", value: { reason: "INVALID_REPORT" } } },
    { outcome: { case: "dropped", value: { reason: "TASK_NOT_FOUND" } } },
  ]);
});

test("random reports are answered one by one, and move nothing", async () => {
  const { taskId } = await rpc.submitTask({ taskId: "not-theirs", type: "patient-nobody" });
  const before = await vitalsOf(mesh);
  const own = await connect({ servers: mesh.nats.url, inboxPrefix: inboxPrefix("default", "live-agent") });
  // Now and then about a task that stands, with a delivery that could be.
  const about = fc.record({
    taskId: fc.constantFrom(taskId, "no-such-task"),
    delivery: fc.constantFrom(
      ...["1", "2", "9007199254740991"].map((at) => `$JS.ACK.MYCEL_TASKS.default=work=5.1.${at}.1.1.1`),
    ),
  });
  const reports = fc.array(
    fc.tuple(messageOf(ReportSchema), fc.option(about)).map(([report, facts]) => ({ ...report, ...facts })),
    { maxLength: 8 },
  );
  await fc.assert(
    fc.asyncProperty(reports, async (made) => {
      const request = create(ReportRequestSchema, { reports: made as MessageInitShape<typeof ReportSchema>[] });
      const body = encodable(request);
      fc.pre(body !== undefined);
      const answer = await own.request("mycel.agent.default.live-agent.report", body, { timeout: 10_000 });
      const { results } = fromBinary(ReportResponseSchema, answer.data);
      expect(results.length).toBe(made.length);
      for (const { outcome } of results) expect(["refused", "dropped"]).toContain(outcome.case);
    }),
    tries(150),
  );
  await own.close();
  expect((await rpc.getTaskStatus({ taskId })).status).toMatchObject({ state: TaskState.SUBMITTED, attempt: 0 });
  await expectUnharmed(mesh, before);
});

test("garbage on every subject that a coordinator listens to changes nothing", async () => {
  await using reading = await connect({ servers: mesh.nats.url });
  // A stream of results and a long poll hold subscriptions of their own, which are garbled too.
  const { taskId } = await rpc.submitTask({ taskId: "watched", type: "patient-nobody" });
  const left = new AbortController();
  const results = rpc.streamResults({ taskId }, { signal: left.signal })[Symbol.asyncIterator]();
  await results.next();
  const before = await vitalsOf(mesh);
  const sequences = await sizes();
  const filters = await filtersOf("mycel coordinator");
  expect(filters).toEqual(
    expect.arrayContaining(["mycel.agent.*.*.report", "mycel.index.list_tasks", "live.default.watched.>"]),
  );
  let sent = 0;
  for (const filter of filters) {
    const messages = garbageFor(filter, random);
    await anybody.publish(...messages);
    sent += messages.length;
  }
  expect(sent).toBeGreaterThan(1_000);
  await reading.flush();
  await rpc.cancelTask({ taskId });
  const rest: string[] = [];
  for (let next = await results.next(); next.done !== true; next = await results.next())
    rest.push(String(next.value.kind.case));
  left.abort();
  expect(rest.filter((kind) => kind !== "keepAlive")).toEqual(["stateChange"]);
  await expectWorkDone();
  await expectUnharmed(mesh, before);
  const now = await sizes();
  expect(now["MYCEL_TASKS"]! - sequences["MYCEL_TASKS"]!).toBeLessThan(20);
  const log = mesh.coordinators[0]!.output();
  expect(log.split("\n").length, log.slice(-4_000)).toBeLessThan(200);
});

test("garbage on every subject that an agent listens to stops neither it nor its work", async () => {
  const filters = await filtersOf("mycel agent live-agent");
  expect(filters).toEqual(expect.arrayContaining(["mycel.signal.default.live-agent"]));
  for (const filter of filters) await anybody.publish(...garbageFor(filter, random));
  await expectWorkDone();
  expect(agent.child.exitCode).toBe(null);
  expect(alarmsIn(agent.output())).toEqual([]);
});
