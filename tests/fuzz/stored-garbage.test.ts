// What stands in the logs and buckets and should not: nobody may stumble over it more than once, and everything else goes on.
import { readFileSync } from "node:fs";
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { jetstream, type JetStreamClient, jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import { BlobService } from "../../gen/mycel/v1/blob_service_pb.ts";
import { TaskState } from "../../gen/mycel/v1/task_pb.ts";
import { WebhookService } from "../../gen/mycel/v1/webhook_service_pb.ts";
import { readDetails } from "../../lib/rpc/rich-error.ts";
import type { TestMesh, TestProcess } from "../support/processes.ts";
import { FUZZ_SEED, randomFrom } from "./fuzz-run.ts";
import { bodies } from "./nats-garbage.ts";
import { alarmsIn, expectUnharmed, openWatchedMesh, vitalsOf } from "./vitals.ts";

const LEASE_MS = 1_000;
const garbage = Object.entries(bodies(randomFrom(FUZZ_SEED))).map(([name, body], i) => ({ name, body, id: `g${i}` }));

let mesh: TestMesh;
let agent: TestProcess;
let connection: NatsConnection;
let log: JetStreamClient;
let manager: JetStreamManager;
let rpc: Client<typeof AgentService>;
beforeAll(async () => {
  mesh = await openWatchedMesh({ leaseMs: LEASE_MS });
  agent = await mesh.startAgent("worker", { MYCEL_LOG_LEVEL: "info" });
  connection = await connect({ servers: mesh.nats.url });
  log = jetstream(connection);
  manager = await jetstreamManager(connection);
  rpc = createClient(AgentService, createGrpcTransport({ baseUrl: mesh.urls[0]! }));
});
afterAll(async () => {
  await connection.close();
  await mesh[Symbol.asyncDispose]();
});

/** A task goes through from its submission to its result. */
async function expectWorkDone(client: Client<typeof AgentService> = rpc): Promise<void> {
  const value = fromJson(ValueSchema, { text: "abc" });
  const { taskId } = await client.submitTask({ type: "reverse", input: { kind: { case: "json", value } } });
  const { status } = await client.getTaskStatus({ taskId, wait: { seconds: 20n } });
  expect(status?.state).toBe(TaskState.COMPLETED);
}

/** Resolves when nothing waits in a consumer and nothing is in anybody's hands, which for a poison message would never come. */
async function expectNothingLeft(stream: string, consumer: string): Promise<void> {
  const left = async (): Promise<number> => {
    const { num_pending: pending, num_ack_pending: inHand } = await manager.consumers.info(stream, consumer);
    return pending + inHand;
  };
  await expect.poll(left, { timeout: 20_000, interval: 200 }).toBe(0);
}

/** Resolves when a process has logged nothing for a second, and was at rest for half of it: it does not stumble again and again. */
async function expectQuiet(process: TestProcess): Promise<void> {
  let before = { lines: -1, cpuMs: 0 };
  const isQuiet = (): boolean => {
    const now = { lines: process.output().split("\n").length, cpuMs: cpuMsOf(process) };
    const quiet = now.lines === before.lines && now.cpuMs - before.cpuMs < 500;
    before = now;
    return quiet;
  };
  await expect.poll(isQuiet, { timeout: 20_000, interval: 1_100 }).toBe(true);
}

/** How long a process has computed so far, in milliseconds. */
function cpuMsOf({ pid }: TestProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  // User and system time, in hundredths of a second.
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** A call either succeeds or is refused with one of the mesh's own reasons. */
async function reasonOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "OK";
  } catch (error) {
    const failure = ConnectError.from(error);
    return readDetails(failure).reason ?? `${Code[failure.code]}: ${failure.rawMessage}`;
  }
}

async function lastMessage(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

test("work items that can't be read are taken away once, and the agent works on", async () => {
  const before = await vitalsOf(mesh);
  for (const { id, body } of garbage) await log.publish(`task.default.${id}.q.work.5`, body);
  await expectWorkDone();
  await expectNothingLeft("MYCEL_TASKS", "default=work=5");
  const lines = agent.output().split("\n");
  for (const { id } of garbage) {
    const about = lines.filter((line) => line.includes(`task.default.${id}.q.work.5`));
    expect(about.length, about.join("\n")).toBeLessThanOrEqual(1);
  }
  expect(agent.child.exitCode).toBe(null);
  expect(alarmsIn(agent.output())).toEqual([]);
  await expectUnharmed(mesh, before);
});

test("a task whose log can't be read is DATA_LOSS in every call about it, over every protocol", async () => {
  const json = createClient(
    AgentService,
    createConnectTransport({ baseUrl: mesh.urls[0]!, httpVersion: "1.1", useBinaryFormat: false }),
  );
  const allowed = [
    "OK",
    "TASK_UNREADABLE",
    "TASK_NOT_FOUND",
    "TASK_NOT_CANCELABLE",
    "TASK_NOT_DEAD",
    "TASK_ALREADY_EXISTS",
    "CURSOR_EXPIRED",
  ];
  for (const { name, id, body } of garbage) {
    const taskId = `chain-${id}`;
    await rpc.submitTask({ taskId, type: "nobody-here" });
    await log.publish(`task.default.${taskId}.e`, body);
    await log.publish(`task.default.item-${id}.q.nobody-here.5`, body);
    for (const client of [rpc, json]) {
      for (const about of [taskId, `item-${id}`]) {
        const reasons = [
          await reasonOf(client.getTask({ taskId: about })),
          await reasonOf(client.getTaskStatus({ taskId: about })),
          await reasonOf(client.retryTask({ taskId: about })),
          await reasonOf(client.submitTask({ taskId: about, type: "something-else" })),
          await reasonOf(lastMessage(client.streamResults({ taskId: about }, { signal: AbortSignal.timeout(300) }))),
          await reasonOf(client.cancelTask({ taskId: about })),
        ].filter((reason) => !reason.startsWith("Canceled") && !reason.startsWith("DeadlineExceeded"));
        expect(
          reasons.filter((reason) => !allowed.includes(reason)),
          `${name}, ${about}`,
        ).toEqual([]);
      }
    }
  }
  expect(await reasonOf(rpc.getTask({ taskId: "chain-g2" }))).toBe("TASK_UNREADABLE");
  expect(alarmsIn(mesh.coordinators[0]!.output())).toEqual([]);
});

test("timers, delayed submissions and outputs that are none are dropped, not handled again and again", async () => {
  const before = await vitalsOf(mesh);
  for (const { id, body } of garbage) {
    await log.publish(`task.default.later-${id}.q._delayed.5`, body);
    for (const name of ["dispatch", "schedule_to_start", "schedule_to_close", "start_to_close", "unheard-of"]) {
      await log.publish(`timer.fired.default.later-${id}.${name}`, body);
      await log.publish(`timer.fired.default.no-such-${id}.${name}`, body);
    }
    await log.publish(`out.default.chain-${id}.worker.1`, body);
  }
  for (const subject of [
    "timer.fired",
    "timer.fired.*.*.dispatch",
    "timer.set.x",
    "out.x",
    "out.*.>.x.1",
    "task.x",
    "task.*.x.e",
    "task.default.x.q.a.b.c",
  ]) {
    await log.publish(subject, new Uint8Array(3)).catch(() => undefined);
  }
  await expectNothingLeft("MYCEL_TASKS", "delayed");
  await expectNothingLeft("MYCEL_TIMERS", "timers");
  await expectQuiet(mesh.coordinators[0]!);
  await expectWorkDone();
  await expectUnharmed(mesh, before);
});

test("outputs that are none leave a reader with those that are", async () => {
  const { taskId } = await rpc.submitTask({
    taskId: "chatty",
    type: "work",
    input: { kind: { case: "json", value: fromJson(ValueSchema, { outputs: 3, workMs: 900 }) } },
  });
  const seen: unknown[] = [];
  let forged = false;
  for await (const { kind } of rpc.streamResults({ taskId }, { timeoutMs: 20_000 })) {
    if (kind.case !== "output") continue;
    seen.push(kind.value.output?.kind.case);
    if (forged) continue;
    forged = true;
    // Bytes that are no batch; what is one would be the agent's own word.
    for (const body of [new Uint8Array(64).fill(0xff), Uint8Array.of(0x0a, 0xff), new Uint8Array()])
      await log.publish(`out.default.${taskId}.worker.1`, body);
  }
  expect(seen).toEqual(["chunk", "chunk", "chunk"]);
});

test("entries of the buckets that are none are left out, and the others stay", async () => {
  const before = await vitalsOf(mesh);
  for (const { id, body } of garbage) {
    for (const key of [`default.${id}`, id, `a.b.c.${id}`, `*.${id}`])
      await log.publish(`$KV.MYCEL_AGENTS.${key}`, body).catch(() => undefined);
    await log.publish("$KV.MYCEL_ROLES.index", body).catch(() => undefined);
    for (const key of ["default.work", `default.${id}`, id, `a.b.c.${id}`, `default.*`])
      await log.publish(`$KV.MYCEL_QUEUES.${key}`, body).catch(() => undefined);
    await log
      .publish(`$O.MYCEL_BLOBS.M.${Buffer.from(`default.${id}`).toString("base64url")}`, body)
      .catch(() => undefined);
  }
  await expect.poll(async () => (await rpc.listAgents({})).agents.map(({ agentId }) => agentId)).toEqual(["worker"]);
  const blobs = createClient(BlobService, createGrpcTransport({ baseUrl: mesh.urls[0]! }));
  for (const { name, id } of garbage) {
    const reason = await reasonOf(lastMessage(blobs.downloadBlob({ blobId: id })));
    expect(["BLOB_NOT_FOUND", "BLOB_CORRUPT"], name).toContain(reason);
  }
  await expectWorkDone();
  await expectUnharmed(mesh, before);
});

test("endpoints, hooks and deliveries of webhooks that are none are left out, and the others are served", async () => {
  const before = await vitalsOf(mesh);
  for (const { id, body } of garbage) {
    for (const name of [`*.${id}`, "*", ">"]) {
      for (const kind of ["endpoint", "hook", "delivery"])
        await log.publish(`webhook.${kind}.default.${name}`, body).catch(() => undefined);
    }
    // Of a hook, all that matters stands in its subject.
    for (const kind of ["endpoint", "delivery"]) await log.publish(`webhook.${kind}.default.${id}`, body);
    connection.publish(`hooked.default.${id}`, body);
    connection.publish("hooked.*.*", body);
  }
  const webhooks = createClient(WebhookService, createGrpcTransport({ baseUrl: mesh.urls[0]! }));
  const { endpoints } = await webhooks.listWebhookEndpoints({ pageSize: 1_000 });
  expect(endpoints.map(({ endpointId }) => endpointId)).toEqual([]);
  await webhooks.createWebhookEndpoint({ endpointId: "sound", url: "https://example.com/" });
  for (const { id } of garbage) {
    expect(await reasonOf(webhooks.getWebhookEndpoint({ endpointId: id }))).toBe("WEBHOOK_ENDPOINT_NOT_FOUND");
    expect(await reasonOf(webhooks.getWebhookDelivery({ deliveryId: id }))).toBe("WEBHOOK_DELIVERY_NOT_FOUND");
    expect(await reasonOf(webhooks.redeliverWebhook({ deliveryId: id }))).toBe("WEBHOOK_DELIVERY_NOT_FOUND");
  }
  expect((await webhooks.listWebhookDeliveries({})).deliveries).toEqual([]);
  await webhooks.deleteWebhookEndpoint({ endpointId: "sound" });
  await expectWorkDone();
  await expectUnharmed(mesh, before);
});

test("a coordinator starts on all of that, builds its index and serves", async () => {
  const url = await mesh.addCoordinator();
  const client = createClient(AgentService, createGrpcTransport({ baseUrl: url }));
  const json = createClient(
    AgentService,
    createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: false }),
  );
  await expectWorkDone(client);
  const calls = [
    () => client.listTasks({ pageSize: 1_000 }),
    () => json.listTasks({ pageSize: 1_000 }),
    () => json.countTasks({}),
    () => json.listDeadLetters({}),
  ];
  for (const call of calls) {
    // The role may be nobody's for as long as its garbled entry lives, and its holder may find out between two calls.
    await expect.poll(() => reasonOf(call()), { timeout: 30_000, interval: 500 }).toBe("OK");
  }
  await expectQuiet(mesh.coordinators[1]!);
  expect(alarmsIn(mesh.coordinators.map((process) => process.output()).join("\n"))).toEqual([]);
});
