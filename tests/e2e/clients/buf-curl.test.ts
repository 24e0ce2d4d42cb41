// `buf curl` against a running mesh: it knows no schema but what reflection tells it.
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema, ResourceInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { type CommandResult, jsonDocuments, outputOf, runCommand } from "../../support/command.ts";
import { echoInput, expectEchoStream, openStockMesh, type StockMesh } from "../../support/stock-mesh.ts";
import { SERVICES } from "../../support/services.ts";

const BUF = join(import.meta.dirname, "../../../node_modules/.bin/buf");
const METHODS = [
  "RegisterAgent",
  "DeregisterAgent",
  "GetAgent",
  "ListAgents",
  "WatchAgents",
  "SubmitTask",
  "BatchSubmitTasks",
  "SubmitTaskStream",
  "GetTaskStatus",
  "GetTask",
  "ListTasks",
  "CountTasks",
  "StreamResults",
  "RunTask",
  "CancelTask",
  "RetryTask",
  "ListDeadLetters",
];

/** An error as buf curl prints it. Its details are decoded here: by gRPC, it prints them as bytes. */
interface PrintedError {
  readonly code: string;
  readonly message: string;
  readonly details: readonly { readonly type: string; readonly value: string }[];
}

function readError(stderr: string): PrintedError {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each field is expected by the tests
  return JSON.parse(stderr) as PrintedError;
}

let stock: StockMesh;
beforeAll(async () => {
  stock = await openStockMesh({ trusted: false });
});
afterAll(() => stock[Symbol.asyncDispose]());

test("buf curl lists the services and methods", async () => {
  const services = await outputOf(BUF, ["curl", "--http2-prior-knowledge", "--list-services", stock.url]);
  expect(services.trim().split("\n")).toEqual([
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    ...SERVICES.map(({ typeName }) => typeName),
  ]);
  const methods = await outputOf(BUF, ["curl", "--http2-prior-knowledge", "--list-methods", stock.url]);
  const listed = methods.trim().split("\n");
  expect(listed).toEqual(expect.arrayContaining(METHODS.map((name) => `mycel.v1.AgentService/${name}`)));
});

describe.for(["grpc", "connect", "grpcweb"])("buf curl --protocol %s", (protocol) => {
  const argumentsOf = (method: string, request: unknown): string[] => [
    "curl",
    "--protocol",
    protocol,
    "--http2-prior-knowledge",
    "-d",
    JSON.stringify(request),
    `${stock.url}/${method.includes("/") ? method : `mycel.v1.AgentService/${method}`}`,
  ];
  const call = async (method: string, request: unknown): Promise<unknown[]> =>
    jsonDocuments(await outputOf(BUF, argumentsOf(method, request)));
  const fail = async (method: string, request: unknown): Promise<CommandResult> => {
    const result = await runCommand(BUF, argumentsOf(method, request));
    expect(result.code, result.stdout).not.toBe(0);
    return result;
  };

  test("registers an agent", async () => {
    const agentId = `buf-${protocol}`;
    const [answer] = await call("RegisterAgent", {
      agentId,
      name: "buf curl",
      capabilities: [{ type: `typing-${protocol}` }],
    });
    expect(answer).toMatchObject({
      agent: { agentId, state: "AGENT_STATE_ACTIVE", concurrency: 1 },
      session: {
        natsUrls: [stock.mesh.nats.url],
        lanes: expect.arrayContaining([
          expect.objectContaining({
            queue: `typing-${protocol}`,
            priority: "PRIORITY_CRITICAL",
            stream: "MYCEL_TASKS",
          }),
        ]),
        reportSubject: `mycel.agent.default.${agentId}.report`,
        outputSubjectTemplate: `out.default.{task_id}.${agentId}.{attempt}`,
      },
    });
  });

  test("submits a task, waits for its end and streams what became of it", async () => {
    const taskId = `buf-curl-${protocol}`;
    const input = echoInput(`by ${protocol}`);
    const [submitted] = await call("SubmitTask", { taskId, type: "echo", input: { json: input } });
    expect(submitted).toMatchObject({ taskId, status: { taskId, state: "TASK_STATE_SUBMITTED" } });

    const [finished] = await call("GetTaskStatus", { taskId, wait: "60s" });
    expect(finished).toMatchObject({ status: { taskId, state: "TASK_STATE_COMPLETED", attempt: 1 } });
    expectEchoStream(await call("StreamResults", { taskId }), taskId, input.message);
  });

  test("follows a task live to its terminal state", async () => {
    const taskId = `buf-live-${protocol}`;
    const input = echoInput("live");
    const messages = await call("RunTask", { task: { taskId, type: "echo", input: { json: input } } });
    expect(messages[0]).toMatchObject({ submitted: { taskId } });
    const results = messages.slice(1).map((message) => (message as { readonly result: unknown }).result);
    expectEchoStream(results, taskId, input.message);
  });

  test("shows the code, the message and the details of an error", async () => {
    const { code, stderr } = await fail("SubmitTask", { taskId: "not a name", type: "", priority: 7 });
    // The exit code of buf curl is the gRPC code, shifted by three bits; a process has 8 bits of it.
    expect(code).toBe(3 << 3);
    const error = readError(stderr);
    expect(error).toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(/^task_id: .* \(and 2 more\)$/),
    });
    expect(error.details.map(({ type }) => type)).toEqual(["google.rpc.ErrorInfo", "google.rpc.BadRequest"]);
    const [info, badRequest] = error.details.map(({ value }) => Buffer.from(value, "base64"));
    expect(fromBinary(ErrorInfoSchema, info!)).toMatchObject({ reason: "INVALID_REQUEST", domain: "mycel.dev" });
    expect(fromBinary(BadRequestSchema, badRequest!).fieldViolations).toMatchObject([
      { field: "task_id", description: expect.stringContaining("1 to 100 characters") },
      { field: "type", description: "is required" },
      { field: "priority", description: "7 is not a known value" },
    ]);
  });

  test("tells an unknown task", async () => {
    for (const method of ["GetTaskStatus", "StreamResults"]) {
      const taskId = `no-such-${protocol}`;
      const { code, stderr } = await fail(method, { taskId });
      expect(code).toBe(5 << 3);
      const error = readError(stderr);
      expect(error).toMatchObject({ code: "not_found", message: `no task "${taskId}"` });
      expect(error.details.map(({ type }) => type)).toEqual(["google.rpc.ErrorInfo", "google.rpc.ResourceInfo"]);
      const resource = fromBinary(ResourceInfoSchema, Buffer.from(error.details[1]!.value, "base64"));
      expect(resource).toMatchObject({ resourceType: "mycel.v1.Task", resourceName: taskId });
    }
  });

  test("checks the health", async () => {
    expect(await call("grpc.health.v1.Health/Check", { service: "mycel.v1.AgentService" })).toEqual([
      { status: "SERVING" },
    ]);
  });
});

test("buf curl sends a stream of tasks, each answered on its own", async () => {
  const requests = [
    { task: { taskId: "buf-stream-1", type: "echo", input: { json: { message: "one" } } } },
    { task: { taskId: "buf-stream-2", type: "" } },
    { task: { taskId: "buf-stream-3", type: "echo", input: { json: { message: "three" } } } },
  ];
  const url = `${stock.url}/mycel.v1.AgentService/SubmitTaskStream`;
  const input = requests.map((request) => JSON.stringify(request)).join("\n");
  const answers = jsonDocuments(await outputOf(BUF, ["curl", "--protocol", "grpc", "-d", "@-", url], { input }));
  const byIndex = new Map(answers.map((answer) => [Number((answer as { index?: string }).index ?? 0), answer]));
  expect(byIndex.size).toBe(3);
  expect(byIndex.get(0)).toMatchObject({ submitted: { taskId: "buf-stream-1" } });
  expect(byIndex.get(1)).toMatchObject({
    error: { code: 3, reason: "INVALID_REQUEST", violations: [{ field: "type" }] },
  });
  expect(byIndex.get(2)).toMatchObject({ submitted: { taskId: "buf-stream-3" } });
});
