// The real grpcurl against a running mesh, without any schema file.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CommandResult, jsonDocuments, outputOf, runCommand } from "../support/command.ts";
import { echoInput, expectEchoStream, openStockMesh, type StockMesh } from "../support/stock-mesh.ts";
import { findGrpcurl } from "./toolchain.ts";
import { SERVICES } from "../support/services.ts";

const grpcurl = await findGrpcurl();

describe.skipIf(grpcurl === undefined)("grpcurl", () => {
  let stock: StockMesh;
  beforeAll(async () => {
    stock = await openStockMesh();
  });
  afterAll(() => stock[Symbol.asyncDispose]());

  const run = (...args: string[]): Promise<string> => outputOf(grpcurl!, ["-plaintext", ...args]);
  const call = async (method: string, request: unknown): Promise<unknown[]> =>
    jsonDocuments(await run("-d", JSON.stringify(request), stock.address, `mycel.v1.AgentService/${method}`));
  const fail = (method: string, request: unknown): Promise<CommandResult> => {
    const data = ["-format-error", "-d", JSON.stringify(request)];
    return runCommand(grpcurl!, ["-plaintext", ...data, stock.address, `mycel.v1.AgentService/${method}`]);
  };

  test("lists the services and the methods of one", async () => {
    expect((await run(stock.address, "list")).trim().split("\n")).toEqual([
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      ...SERVICES.map(({ typeName }) => typeName),
    ]);
    const methods = (await run(stock.address, "list", "mycel.v1.AgentService")).trim().split("\n");
    for (const name of ["RegisterAgent", "SubmitTask", "GetTaskStatus", "StreamResults"]) {
      expect(methods).toContain(`mycel.v1.AgentService.${name}`);
    }
  });

  test("describes services, messages and enums, and makes a template of a request", async () => {
    expect(await run(stock.address, "describe", "mycel.v1.AgentService")).toContain(
      "rpc StreamResults ( .mycel.v1.StreamResultsRequest ) returns ( stream .mycel.v1.StreamResultsResponse );",
    );
    const described = await run("-msg-template", stock.address, "describe", "mycel.v1.SubmitTaskRequest");
    expect(described).toContain(".google.protobuf.Duration delay = 12;");
    expect(described).toContain('"requestId": ""');
    expect(await run(stock.address, "describe", "mycel.v1.TaskState")).toContain("TASK_STATE_TIMED_OUT = 14;");
    expect(await run(stock.address, "describe", "google.rpc.BadRequest")).toContain("field_violations");
  });

  test("registers an agent", async () => {
    const capabilities = [{ type: "grpcurl-typing" }];
    const answers = await call("RegisterAgent", { agentId: "grpcurl", name: "grpcurl", capabilities });
    expect(answers).toMatchObject([
      { agent: { agentId: "grpcurl" }, session: { reportSubject: "mycel.agent.default.grpcurl.report" } },
    ]);
  });

  test("submits a task, waits for its end and streams what became of it", async () => {
    const taskId = "grpcurl-task";
    const input = echoInput("by grpcurl");
    expect(await call("SubmitTask", { taskId, type: "echo", input: { json: input } })).toMatchObject([{ taskId }]);
    expect(await call("GetTaskStatus", { taskId, wait: "60s" })).toMatchObject([
      { status: { state: "TASK_STATE_COMPLETED" } },
    ]);
    expectEchoStream(await call("StreamResults", { taskId }), taskId, input.message);
  });

  test("shows the code, the message and the decoded details of an error", async () => {
    const invalid = await fail("SubmitTask", { taskId: "a b" });
    // grpcurl's exit code is 64 and the gRPC code.
    expect(invalid.code).toBe(64 + 3);
    expect(JSON.parse(invalid.stderr)).toMatchObject({
      code: 3,
      message: expect.stringMatching(/^task_id: must be 1 to 100 characters of .* \(and 1 more\)$/),
      details: [
        { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "INVALID_REQUEST", domain: "mycel.dev" },
        {
          "@type": "type.googleapis.com/google.rpc.BadRequest",
          fieldViolations: [{ field: "task_id" }, { field: "type", description: "is required" }],
        },
      ],
    });
    const unknown = await fail("StreamResults", { taskId: "grpcurl-unknown" });
    expect(unknown.code).toBe(64 + 5);
    expect(JSON.parse(unknown.stderr)).toMatchObject({
      details: [{ reason: "TASK_NOT_FOUND" }, { resourceType: "mycel.v1.Task", resourceName: "grpcurl-unknown" }],
    });
  });

  test("checks the health", async () => {
    const answer = await run("-d", "{}", stock.address, "grpc.health.v1.Health/Check");
    expect(JSON.parse(answer)).toEqual({ status: "SERVING" });
  });
});
