// What callers do whose grants are about some of a tenant's tasks, and how calls end that go on when a key is revoked.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type CallOptions, Code, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { KeyService } from "../../../gen/mycel/v1/key_service_pb.ts";
import { MetricsService } from "../../../gen/mycel/v1/metrics_service_pb.ts";
import { QueueService } from "../../../gen/mycel/v1/queue_service_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { failureOf } from "../../support/rpc-call.ts";

const OPERATOR = `mk_operator_${"s".repeat(40)}`;
const PATIENCE = { timeout: 20_000, interval: 50 };

const POLICY = `
roles:
  blue: { actions: ["task:*", "queue:*", "metrics:read"], labels: { team: blue } }
  echo: { actions: ["task:*", "queue:*", "metrics:read", "agent:register"], taskTypes: ["echo*"] }
`;

let mesh: TestMesh;
let transport: Transport;
const keys = new Map<string, CallOptions & { readonly keyId: string }>();
beforeAll(async () => {
  mesh = await openMesh({ coordinators: 0, trusted: false });
  const policy = join(mesh.dir, "policy.yaml");
  await writeFile(policy, POLICY);
  Object.assign(mesh.env, { MYCEL_ADMIN_KEY: OPERATOR, MYCEL_POLICY: policy });
  transport = createGrpcTransport({ baseUrl: await mesh.addCoordinator() });
  for (const role of ["admin", "blue", "echo"]) keys.set(role, await newKey([role]));
});
afterAll(() => mesh[Symbol.asyncDispose]());

const agents = () => createClient(AgentService, transport);
const as = (role: string) => keys.get(role)!;
const operator: CallOptions = { headers: { authorization: `Bearer ${OPERATOR}` } };

async function newKey(roles: string[]) {
  const { key, secret } = await createClient(KeyService, transport).createKey({ roles }, operator);
  return { headers: { authorization: `Bearer ${secret}` }, keyId: key!.keyId };
}

test("a caller whose grants are about some tasks does everything with those, and nothing shows it the others", async () => {
  const client = agents();
  const watch = client.watchTasks({}, as("blue"))[Symbol.asyncIterator]();
  await watch.next();
  await client.submitTask({ taskId: "red-1", type: "echo", labels: { team: "red" } }, as("admin"));
  const blue = { type: "echo", labels: { team: "blue", floor: "2" } };
  await client.submitTask({ ...blue, taskId: "blue-1" }, as("blue"));
  expect((await client.submitTask({ ...blue, taskId: "blue-1" }, as("blue"))).existing).toBe(true);
  const refused = await failureOf(client.submitTask({ type: "echo", labels: { team: "red" } }, as("blue")));
  expect([refused.code, readDetails(refused)]).toMatchObject([
    Code.PermissionDenied,
    { reason: "ACTION_NOT_ALLOWED", metadata: { action: "task:submit" } },
  ]);
  expect((await watch.next()).value?.kind).toMatchObject({ case: "change", value: { taskId: "blue-1" } });
  await watch.return?.();

  expect((await client.getTask({ taskId: "blue-1" }, as("blue"))).task?.type).toBe("echo");
  const results = client.streamResults({ taskId: "blue-1" }, as("blue"))[Symbol.asyncIterator]();
  expect((await results.next()).value?.kind.case).toBe("snapshot");
  expect((await client.explainTask({ taskId: "blue-1" }, as("blue"))).explanation?.queue).toBe("echo");
  const seen = async () => (await client.listTasks({}, as("blue"))).tasks.map(({ taskId }) => taskId);
  await vi.waitFor(async () => expect(await seen()).toEqual(["blue-1"]), PATIENCE);
  expect((await client.countTasks({}, as("blue"))).totalCount).toBe(1n);
  expect((await client.countTasks({}, as("admin"))).totalCount).toBe(2n);
  expect((await client.listTasks({ filter: { labels: { team: "red" } } }, as("blue"))).tasks).toEqual([]);

  // Tallies know no labels.
  const metrics = createClient(MetricsService, transport);
  expect((await metrics.getMetrics({}, as("blue"))).metrics?.types).toEqual([]);
  expect((await metrics.getMetrics({}, as("echo"))).metrics?.types.map(({ type }) => type)).toEqual(["echo"]);

  expect((await failureOf(client.cancelTask({ taskId: "red-1" }, as("blue")))).code).toBe(Code.NotFound);
  const { status } = await client.cancelTask({ taskId: "blue-1" }, as("blue"));
  expect(status?.state).toBe(TaskState.CANCELED);
  expect((await client.getTaskStatus({ taskId: "red-1" }, as("admin"))).status?.state).toBe(TaskState.SUBMITTED);
});

test("a batch stores what its caller may submit, and each of the others has its own refusal; all or none stores none", async () => {
  const client = agents();
  const tasks = [
    { taskId: "batch-1", type: "echo-a" },
    { taskId: "batch-2", type: "other" },
  ];
  const refused = await failureOf(client.batchSubmitTasks({ tasks, atomic: true }, as("echo")));
  expect(refused.code).toBe(Code.PermissionDenied);
  const { results } = await client.batchSubmitTasks({ tasks }, as("echo"));
  expect(results.map(({ result }) => [result.case, result.case === "error" ? result.value.reason : ""])).toEqual([
    ["submitted", ""],
    ["error", "ACTION_NOT_ALLOWED"],
  ]);
  expect((await failureOf(client.getTask({ taskId: "batch-2" }, as("admin")))).code).toBe(Code.NotFound);
  async function* requests() {
    for (const task of tasks) yield { task: { ...task, taskId: `${task.taskId}s` } };
  }
  const answers: unknown[] = [];
  for await (const { index, result } of client.submitTaskStream(requests(), as("echo"))) {
    answers[Number(index)] = result.case;
  }
  expect(answers).toEqual(["submitted", "error"]);
});

test("a task goes to queues of the names that its caller's grants are about, and to no other", async () => {
  const client = agents();
  const submit = (queue: string) => client.submitTask({ type: "echo", queue, labels: { team: "blue" } }, as("echo"));
  await submit("echo-urgent");
  expect(readDetails(await failureOf(submit("payments")))).toMatchObject({ reason: "ACTION_NOT_ALLOWED" });
  // Labels say nothing of queues.
  await client.submitTask({ type: "echo", queue: "payments", labels: { team: "blue" } }, as("blue"));
});

test("an agent registers for what its credential is about, and for the queues of those names", async () => {
  const register = (capabilities: { readonly type: string; readonly queue?: string }[]) =>
    agents().registerAgent({ agentId: "a-1", name: "an agent", capabilities }, as("echo"));
  await register([{ type: "echo" }, { type: "echo-b", queue: "echo" }]);
  for (const wrong of [{ type: "other" }, { type: "echo-c", queue: "other" }]) {
    const refused = await failureOf(register([{ type: "echo" }, wrong]));
    expect(readDetails(refused)).toMatchObject({
      reason: "ACTION_NOT_ALLOWED",
      metadata: { action: "agent:register" },
    });
  }
});

test("a purge ends the tasks that its caller's grants are about, and leaves the others of the queue", async () => {
  const client = agents();
  for (const team of ["red", "blue"]) {
    const task = { taskId: `purge-${team}`, type: "echo", queue: "shared", labels: { team } };
    await client.submitTask(task, as("admin"));
  }
  const queues = createClient(QueueService, transport);
  const purged = await queues.purgeQueue({ queue: "shared" }, as("blue"));
  expect([purged.purgedCount, purged.remainingCount]).toEqual([1n, 0n]);
  const stateOf = async (taskId: string) => (await client.getTaskStatus({ taskId }, as("admin"))).status?.state;
  expect([await stateOf("purge-red"), await stateOf("purge-blue")]).toEqual([TaskState.SUBMITTED, TaskState.CANCELED]);
  const pausing = failureOf(queues.pauseQueue({ queue: "shared" }, as("blue")));
  expect((await pausing).code).toBe(Code.PermissionDenied);
});

describe.each(["gRPC", "Connect"])("over %s, when a key is revoked,", (protocol) => {
  test("everything ends that goes on with it, and nothing that goes on with another", async () => {
    const baseUrl = mesh.urls[0]!;
    const own = protocol === "gRPC" ? transport : createConnectTransport({ baseUrl, httpVersion: "2" });
    const client = createClient(AgentService, own);
    const taskId = `long-${protocol}`;
    await client.submitTask({ taskId, type: "long" }, as("admin"));
    const [leaving, staying] = [await newKey(["admin"]), await newKey(["admin"])];
    const streams = (key: CallOptions) => [
      client.streamResults({ taskId }, key),
      client.watchTasks({}, key),
      client.watchAgents({}, key),
      client.runTask({ task: { taskId, type: "long" } }, key),
      createClient(MetricsService, own).watchMetrics({}, key),
    ];
    const ends: string[] = [];
    const begun = await Promise.all(
      [leaving, staying].flatMap((key) =>
        streams(key).map(async (messages) => {
          const read = (messages as AsyncIterable<object>)[Symbol.asyncIterator]();
          await read.next();
          const over = (async () => {
            for (;;) await read.next();
          })().catch((error: unknown) => error);
          void over.then(() => ends.push(key === leaving ? "leaving" : "staying"));
          return { key, over };
        }),
      ),
    );
    const waiting = failureOf(client.getTaskStatus({ taskId, wait: { seconds: 50n } }, leaving));
    await client.getTaskStatus({ taskId }, leaving);
    await createClient(KeyService, transport).revokeKey({ keyId: leaving.keyId }, operator);
    const failures = await Promise.all(begun.filter(({ key }) => key === leaving).map(({ over }) => over));
    for (const failure of [...failures, await waiting]) {
      expect(failure).toMatchObject({ code: Code.Unauthenticated, rawMessage: "the credential is not valid" });
    }
    expect(ends).toEqual(failures.map(() => "leaving"));
    await client.getTaskStatus({ taskId }, staying);
  });
});
