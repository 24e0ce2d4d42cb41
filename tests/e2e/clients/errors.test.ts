// What a caller is told when something is wrong: code, reason and details, the same over every protocol.
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, Code, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService, type ResultKind } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Payload } from "../../../gen/mycel/v1/payload_pb.ts";
import { Priority, TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { type ErrorDetails, readDetails } from "../../../lib/rpc/rich-error.ts";
import { openGrpcJs, serviceErrorOf } from "../../support/grpc-js-client.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { failureOf } from "../../support/rpc-call.ts";

const QUEUE_LIMIT = 5;
const MAX_INLINE_BYTES = 256 * 1024;
const SERVICE = "mycel.v1.AgentService";

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await openMesh({ trusted: false, env: { MYCEL_QUEUE_LIMIT: String(QUEUE_LIMIT) } });
});
afterAll(() => mesh[Symbol.asyncDispose]());

const transports: Readonly<Record<string, (baseUrl: string) => Transport>> = {
  // Node's own HTTP/2 client gives up a stream when an answer comes while more than 10 MB of the request are unsent.
  grpc: (baseUrl) => createGrpcTransport({ baseUrl, nodeOptions: { maxSessionMemory: 64 } }),
  "connect-json": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  "grpc-web": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
};

interface Failure extends ErrorDetails {
  readonly code: string;
  readonly message: string;
}

async function refusal(call: Promise<unknown>): Promise<Failure> {
  const error = await failureOf(call);
  return { code: Code[error.code], message: error.rawMessage, ...readDetails(error) };
}

function bytes(size: number): { readonly kind: Payload["kind"] } {
  const value = { $typeName: "mycel.v1.Bytes" as const, contentType: "", data: new Uint8Array(size) };
  return { kind: { case: "bytes", value } };
}

describe.for(Object.entries(transports))("over %s", ([protocol, open]) => {
  const rpc = (): Client<typeof AgentService> => createClient(AgentService, open(mesh.urls[0]!));
  const id = (name: string): string => `${protocol}-${name}`;

  test("a full queue refuses with the limit and the time to wait, and accepts nothing", async () => {
    const client = rpc();
    const type = id("full");
    for (let i = 0; i < QUEUE_LIMIT; i += 1) await client.submitTask({ taskId: `${type}-${i}`, type });
    const refused = await refusal(client.submitTask({ taskId: `${type}-more`, type }));
    expect(refused).toMatchObject({
      code: "ResourceExhausted",
      domain: "mycel.dev",
      reason: "QUEUE_FULL",
      quota: [{ subject: expect.stringMatching(/./), description: expect.stringContaining(String(QUEUE_LIMIT)) }],
    });
    expect(refused.retryDelayMs).toBeGreaterThan(0);
    expect(await refusal(client.getTask({ taskId: `${type}-more` }))).toMatchObject({ reason: "TASK_NOT_FOUND" });

    // What was accepted before is still known, and other queues take work.
    expect(await client.submitTask({ taskId: `${type}-0`, type })).toMatchObject({ existing: true });
    expect(await client.submitTask({ taskId: `${type}-other`, type: id("roomy") })).toMatchObject({ existing: false });
    await client.cancelTask({ taskId: `${type}-0` });
    const accepted = async (): Promise<unknown> =>
      await client.submitTask({ taskId: `${type}-again`, type }).catch((error: unknown) => error);
    // The depth is known from the broker, and a place that was freed shows after a moment.
    await expect.poll(accepted, { timeout: 30_000, interval: 200 }).toMatchObject({ taskId: `${type}-again` });
  });

  test("a full queue is an error of its item in a batch, and of the whole batch if that is atomic", async () => {
    const client = rpc();
    const type = id("batch-full");
    const tasks = Array.from({ length: QUEUE_LIMIT + 1 }, (_, i) => ({ taskId: `${type}-${i}`, type }));
    const refused = await refusal(client.batchSubmitTasks({ tasks, atomic: true }));
    expect(refused).toMatchObject({ code: "ResourceExhausted", reason: "QUEUE_FULL" });
    for (const { taskId } of tasks) {
      expect(await refusal(client.getTaskStatus({ taskId }))).toMatchObject({ reason: "TASK_NOT_FOUND" });
    }
    const { results } = await client.batchSubmitTasks({ tasks });
    const cases = results.map(({ result }) => result.case);
    expect(cases.filter((name) => name === "submitted")).toHaveLength(QUEUE_LIMIT);
    const failed = results.find(({ result }) => result.case === "error");
    expect(failed?.result.value).toMatchObject({ code: Code.ResourceExhausted, reason: "QUEUE_FULL" });
    const at = cases.indexOf("error");
    expect(await refusal(client.getTaskStatus({ taskId: tasks[at]!.taskId }))).toMatchObject({
      reason: "TASK_NOT_FOUND",
    });
  });

  test("an input one byte too large is refused by the name of its field, the largest is taken", async () => {
    const client = rpc();
    const type = id("large");
    const large = { taskId: id("too-large"), type, input: bytes(MAX_INLINE_BYTES + 1) };
    expect(await refusal(client.submitTask(large))).toMatchObject({
      code: "InvalidArgument",
      reason: "PAYLOAD_TOO_LARGE",
      violations: [{ field: "input", description: expect.stringContaining(`at most ${MAX_INLINE_BYTES} bytes`) }],
    });
    expect(await refusal(client.getTask({ taskId: id("too-large") }))).toMatchObject({ code: "NotFound" });
    await client.submitTask({ taskId: id("largest"), type, input: bytes(MAX_INLINE_BYTES) });
    const { task } = await client.getTask({ taskId: id("largest") });
    expect(task?.input?.kind).toMatchObject({ case: "bytes", value: { data: { length: MAX_INLINE_BYTES } } });
  });

  test("an unknown task is NOT_FOUND with its name in every call about it", async () => {
    const client = rpc();
    const taskId = id("unknown");
    const calls = [
      () => client.getTaskStatus({ taskId }),
      () => client.getTaskStatus({ taskId, wait: { seconds: 5n } }),
      () => client.getTask({ taskId }),
      () => client.cancelTask({ taskId }),
      () => client.retryTask({ taskId }),
      () => Array.fromAsync(client.streamResults({ taskId })),
    ];
    for (const call of calls) {
      expect(await refusal(call())).toMatchObject({
        code: "NotFound",
        message: `no task "${taskId}"`,
        domain: "mycel.dev",
        reason: "TASK_NOT_FOUND",
        resource: { type: "mycel.v1.Task", name: taskId },
      });
    }
  });

  test("a request that is wrong in many places is refused with all of them", async () => {
    const refused = await refusal(
      rpc().submitTask({
        taskId: "no spaces, please",
        requestId: "r".repeat(257),
        type: "",
        queue: "a.b",
        priority: 7 as Priority,
        labels: { ["k".repeat(64)]: "v" },
        timeouts: { startToClose: { seconds: 8_640_000n }, scheduleToClose: { nanos: 1_000_000 } },
        retryPolicy: { maximumAttempts: 101, backoffCoefficient: 0.5 },
        resultTtl: { seconds: -1n },
        start: { case: "delay", value: { seconds: 604_800n } },
        input: { kind: { case: "blob", value: { blobId: "", sha256: new Uint8Array(3) } } },
      }),
    );
    expect(refused).toMatchObject({ code: "InvalidArgument", reason: "INVALID_REQUEST" });
    expect(refused.message).toContain("(and 13 more)");
    expect(refused.violations.map(({ field }) => field)).toEqual([
      "task_id",
      "request_id",
      "type",
      "queue",
      "priority",
      "labels",
      "input.blob.blob_id",
      "input.blob.sha256",
      "timeouts.start_to_close",
      "timeouts.schedule_to_close",
      "retry_policy.maximum_attempts",
      "retry_policy.backoff_coefficient",
      "result_ttl",
      "delay",
    ]);
    for (const { description } of refused.violations) expect(description).not.toBe("");
  });

  test("every other request is validated, too", async () => {
    const client = rpc();
    const long = "x".repeat(1_025);
    const cases: [() => Promise<unknown>, string[]][] = [
      [() => client.getTaskStatus({ wait: { seconds: 61n } }), ["task_id", "wait"]],
      [() => client.cancelTask({ taskId: "a/b", reason: long }), ["task_id", "reason"]],
      [
        () => client.registerAgent({ agentId: "a b", concurrency: 1_001 }),
        ["agent_id", "name", "capabilities", "concurrency"],
      ],
      [() => client.batchSubmitTasks({ tasks: [] }), ["tasks"]],
      [() => client.retryTask({ requestId: long }), ["task_id", "request_id"]],
      [
        () => client.listTasks({ pageSize: -1, filter: { states: [99 as TaskState] } }),
        ["page_size", "filter.states[0]"],
      ],
      [() => Array.fromAsync(client.streamResults({ taskId: "", kinds: [9 as ResultKind] })), ["task_id", "kinds[0]"]],
      [() => Array.fromAsync(client.runTask({})), ["task"]],
    ];
    for (const [call, fields] of cases) {
      const refused = await refusal(call());
      expect(refused).toMatchObject({ code: "InvalidArgument", reason: "INVALID_REQUEST" });
      expect(refused.violations.map(({ field }) => field).sort()).toEqual(fields.sort());
    }
  });

  test("a cursor that is none is INVALID_ARGUMENT", async () => {
    const client = rpc();
    const taskId = id("cursor");
    await client.submitTask({ taskId, type: taskId });
    const refused = await refusal(Array.fromAsync(client.streamResults({ taskId, cursor: "not a cursor" })));
    expect(refused).toMatchObject({ code: "InvalidArgument", violations: [{ field: "cursor" }] });
  });

  test("the same task again is the same task; another content under its id is ALREADY_EXISTS", async () => {
    const client = rpc();
    const taskId = id("same");
    const request = { taskId, type: taskId, input: bytes(10), labels: { b: "2", a: "1" } };
    expect(await client.submitTask(request)).toMatchObject({ taskId, existing: false });
    const again = await client.submitTask({ ...request, labels: { a: "1", b: "2" } });
    expect(again).toMatchObject({ taskId, existing: true, status: { state: TaskState.SUBMITTED } });
    expect(await refusal(client.submitTask({ ...request, input: bytes(11) }))).toMatchObject({
      code: "AlreadyExists",
      reason: "TASK_ALREADY_EXISTS",
      resource: { type: "mycel.v1.Task", name: taskId },
    });
    const { task } = await client.getTask({ taskId });
    expect(task?.input?.kind).toMatchObject({ value: { data: { length: 10 } } });
  });

  test("the same request_id gives the same task, also after it ended; another content is ALREADY_EXISTS", async () => {
    const client = rpc();
    const request = { requestId: id("order 7 of ümit/…"), type: id("requests") };
    const first = await client.submitTask(request);
    expect(first).toMatchObject({ existing: false });
    expect(await client.submitTask(request)).toMatchObject({ taskId: first.taskId, existing: true });
    await client.cancelTask({ taskId: first.taskId });
    const after = await client.submitTask(request);
    expect(after).toMatchObject({ taskId: first.taskId, existing: true, status: { state: TaskState.CANCELED } });
    const other = await refusal(client.submitTask({ ...request, priority: Priority.LOW }));
    expect(other).toMatchObject({ code: "AlreadyExists", metadata: { existing_task_id: first.taskId } });
  });

  test("two submissions of the same task at once make one task", async () => {
    const client = rpc();
    const taskId = id("race");
    const answers = await Promise.all(Array.from({ length: 8 }, () => client.submitTask({ taskId, type: taskId })));
    expect(answers.filter(({ existing }) => !existing)).toHaveLength(1);
  });

  test("an atomic batch with one bad item accepts nothing and names the item", async () => {
    const client = rpc();
    const taskId = id("atomic");
    const tasks = [
      { taskId: `${taskId}-0`, type: taskId },
      { taskId: `${taskId}-1`, type: "" },
      { taskId: `${taskId}-2`, type: taskId },
    ];
    expect(await refusal(client.batchSubmitTasks({ tasks, atomic: true }))).toMatchObject({
      code: "InvalidArgument",
      violations: [{ field: "tasks[1].type" }],
    });
    for (const task of tasks) {
      expect(await refusal(client.getTask({ taskId: task.taskId }))).toMatchObject({ code: "NotFound" });
    }
    const taken = { taskId: `${taskId}-taken`, type: taskId };
    await client.submitTask(taken);
    const clash = [tasks[0]!, { ...taken, priority: Priority.HIGH }];
    expect(await refusal(client.batchSubmitTasks({ tasks: clash, atomic: true }))).toMatchObject({
      code: "AlreadyExists",
      reason: "TASK_ALREADY_EXISTS",
    });
    expect(await refusal(client.getTask({ taskId: tasks[0]!.taskId }))).toMatchObject({ code: "NotFound" });
  });

  test("a batch with the same task twice is refused", async () => {
    const taskId = id("twice");
    const tasks = [1, 2].map(() => ({ taskId, type: taskId }));
    expect(await refusal(rpc().batchSubmitTasks({ tasks }))).toMatchObject({
      code: "InvalidArgument",
      violations: [{ field: "tasks[1].task_id" }],
    });
  });

  test("a task that ended cannot be canceled, and one that did not fail cannot be redriven", async () => {
    const client = rpc();
    const taskId = id("ended");
    await client.submitTask({ taskId, type: taskId });
    expect(await refusal(client.retryTask({ taskId }))).toMatchObject({
      code: "FailedPrecondition",
      reason: "TASK_NOT_DEAD",
    });
    await client.cancelTask({ taskId });
    expect(await client.cancelTask({ taskId })).toMatchObject({ status: { state: TaskState.CANCELED } });
    const timedOut = id("timed-out");
    await client.submitTask({ taskId: timedOut, type: taskId, timeouts: { scheduleToStart: { seconds: 1n } } });
    const ended = await client.getTaskStatus({ taskId: timedOut, wait: { seconds: 50n } });
    expect(ended.status).toMatchObject({ state: TaskState.TIMED_OUT, deadLetter: true });
    expect(await refusal(client.cancelTask({ taskId: timedOut }))).toMatchObject({
      code: "FailedPrecondition",
      reason: "TASK_NOT_CANCELABLE",
    });
  });

  test("a message over the transport's limit is RESOURCE_EXHAUSTED", async () => {
    const client = rpc();
    const failure = await failureOf(client.submitTask({ type: id("huge"), input: bytes(18 * 1024 * 1024) }));
    expect(Code[failure.code]).toBe("ResourceExhausted");
    // The connection, or a new one, goes on.
    expect(await client.submitTask({ type: id("huge") })).toMatchObject({ existing: false });
  });
});

describe("what no client of the contract sends", () => {
  const post = (method: string, contentType: string, body: string | Buffer<ArrayBuffer>): Promise<Response> =>
    fetch(`${mesh.urls[0]}/${method}`, { method: "POST", headers: { "content-type": contentType }, body });

  /** The error of a gRPC call with these bytes as its message. */
  const rawFailure = async (path: string, message: Buffer): Promise<ServiceError> => {
    using plain = openGrpcJs(new URL(mesh.urls[0]!).host);
    const raw = (value: Buffer): Buffer => value;
    const call = new Promise((resolve, reject) => {
      plain.client.makeUnaryRequest(path, raw, raw, message, (error, answer) =>
        error === null ? resolve(answer) : reject(error),
      );
    });
    return await serviceErrorOf(call);
  };

  test("an unknown method or service is UNIMPLEMENTED", async () => {
    for (const path of [`/${SERVICE}/NoSuchMethod`, "/no.such.Service/Method"]) {
      expect((await rawFailure(path, Buffer.alloc(0))).code).toBe(status.UNIMPLEMENTED);
      expect((await post(path.slice(1), "application/json", "{}")).status).toBe(404);
    }
  });

  test.for([
    ["no JSON", "{"],
    ["another type of JSON", '["task"]'],
    ["an unknown field", '{"type":"echo","tipe":"echo"}'],
    ["an unknown enum name", '{"type":"echo","priority":"PRIORITY_URGENT"}'],
    ["a field of another type", '{"type":7}'],
    ["an invalid duration", '{"type":"echo","delay":"soon"}'],
    ["two members of a oneof", '{"type":"echo","delay":"1s","startTime":"2030-01-01T00:00:00Z"}'],
    ["nothing at all", ""],
  ] as const)("a JSON body with %s is INVALID_ARGUMENT", async ([, body]) => {
    const response = await post(`${SERVICE}/SubmitTask`, "application/json", body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: "invalid_argument", message: expect.stringMatching(/./) });
  });

  test("garbage instead of Protobuf is INVALID_ARGUMENT, over Connect and gRPC", async () => {
    const garbage = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x01]);
    const response = await post(`${SERVICE}/SubmitTask`, "application/proto", garbage);
    expect(await response.json()).toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("parse binary"),
      details: [{ debug: { reason: "UNREADABLE_REQUEST", domain: "mycel.dev" } }],
    });
    expect((await rawFailure(`/${SERVICE}/SubmitTask`, garbage)).code).toBe(status.INVALID_ARGUMENT);
  });

  test("a media type that is no protocol's is 415", async () => {
    expect((await post(`${SERVICE}/SubmitTask`, "text/plain", "{}")).status).toBe(415);
  });

  test("JSON numbers beyond what JSON can carry do not get through unseen", async () => {
    const response = await post(
      `${SERVICE}/GetTaskStatus`,
      "application/json",
      '{"taskId":"x","afterRevision":"99999999999999999999"}',
    );
    expect(response.status).toBe(400);
  });

  test("a JSON value survives as it is, whatever it is", async () => {
    const json = { null: null, deep: [[{ "": -1.5e-7 }]], text: "ünï\u0000 \u{1f30d}", flag: false };
    const taskId = "json-value";
    const client = createClient(AgentService, createGrpcTransport({ baseUrl: mesh.urls[0]! }));
    await client.submitTask({
      taskId,
      type: taskId,
      input: { kind: { case: "json", value: fromJson(ValueSchema, json) } },
    });
    const response = await post(`${SERVICE}/GetTask`, "application/json", JSON.stringify({ taskId }));
    expect(await response.json()).toMatchObject({ task: { input: { json } } });
  });
});
