// The real grpcurl against a running mesh, without any schema file, by hand and as `mycel --grpcurl` prints it.
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { type CommandResult, jsonDocuments, outputOf, runCommand } from "../support/command.ts";
import { echoInput, expectEchoStream, openStockMesh, type StockMesh } from "../support/stock-mesh.ts";
import { findGrpcurl } from "./toolchain.ts";
import { SERVICES } from "../support/services.ts";

const grpcurl = await findGrpcurl();

describe.skipIf(grpcurl === undefined)("grpcurl", () => {
  let stock: StockMesh;
  beforeAll(async () => {
    stock = await openStockMesh({ trusted: false });
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

  describe("as mycel prints it", () => {
    const printed = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await runCli(stock.url, [...args, "--grpcurl"]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return stdout;
    };
    const paste = async (lines: string): Promise<unknown[]> => {
      const env = { PATH: `${dirname(grpcurl!)}:${process.env["PATH"]}` };
      return jsonDocuments(await outputOf("sh", ["-s"], { input: lines, env }));
    };
    const shown = async (...args: string[]): Promise<unknown> => {
      const { stdout } = await runCli(stock.url, [...args, "--json"]);
      return JSON.parse(stdout) as unknown;
    };

    test("submits what the command would have submitted, which submitted nothing", async () => {
      const args = [
        "submit",
        "echo",
        `{"message":"it's $HOME"}`,
        "--id",
        "printed",
        "--label",
        "team=a",
        "--start-to-close",
        "5s",
      ];
      const lines = await printed(...args);
      expect((await fail("GetTask", { taskId: "printed" })).code).toBe(64 + 5);
      expect(await paste(lines)).toMatchObject([{ taskId: "printed" }]);
      expect(await paste(lines)).toMatchObject([{ taskId: "printed", existing: true }]);
      expect(await call("GetTaskStatus", { taskId: "printed", wait: "60s" })).toMatchObject([
        { status: { state: "TASK_STATE_COMPLETED" } },
      ]);
      expect(await shown("get", "printed")).toMatchObject({
        labels: { team: "a" },
        input: { json: { message: "it's $HOME" } },
        timeouts: { startToClose: "5s" },
      });
    });

    test("answers what the command shows", async () => {
      await run(
        "-d",
        '{"taskId":"shown","type":"echo","input":{"json":{"message":"x"}}}',
        stock.address,
        "mycel.v1.AgentService/SubmitTask",
      );
      await call("GetTaskStatus", { taskId: "shown", wait: "60s" });
      expect([await shown("status", "shown")]).toMatchObject(
        (await paste(await printed("status", "shown"))).map((answer) => (answer as { status: object }).status),
      );
      expect([await shown("get", "shown")]).toMatchObject(
        (await paste(await printed("get", "shown"))).map((answer) => (answer as { task: object }).task),
      );
      expect(await paste(await printed("watch", "shown"))).toMatchObject([
        { snapshot: { taskId: "shown" } },
        { stateChange: { status: { state: "TASK_STATE_COMPLETED" } } },
      ]);
      expect(await paste(await printed("submit", "echo", '{"message":"y"}', "--wait"))).toMatchObject([
        { submitted: {} },
        { result: { snapshot: {} } },
        { result: { stateChange: { status: { state: "TASK_STATE_COMPLETED" } } } },
      ]);
    });

    test("prints each call of a command that makes several, and each is answered", async () => {
      const lines = await printed("doctor");
      expect(
        lines
          .trimEnd()
          .split("\n")
          .map((line) => line.split(" ").at(-1)),
      ).toEqual([
        "grpc.health.v1.Health/Check",
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "mycel.v1.AgentService/ListAgents",
        "mycel.v1.AgentService/RunTask",
      ]);
      expect((await paste(lines)).slice(0, 2)).toMatchObject([{ status: "SERVING" }, { listServicesResponse: {} }]);
    });

    test("uploads a file and downloads it", async () => {
      const [answer] = await paste(await printed("blob", "put", "package.json", "--content-type", "application/json"));
      const { blob } = answer as { blob: { blobId: string; sizeBytes: string; contentType: string } };
      expect(blob.contentType).toBe("application/json");
      const parts = await paste(await printed("blob", "get", blob.blobId));
      const chunks = (parts as { chunk?: string }[]).map(({ chunk = "" }) => Buffer.from(chunk, "base64"));
      expect(Buffer.concat(chunks).length).toBe(Number(blob.sizeBytes));
    });

    test("says what is wrong with a call instead of printing it", async () => {
      expect(await runCli(stock.url, ["submit", "echo", "{bad", "--grpcurl"])).toMatchObject({
        code: 2,
        stdout: "",
        stderr: expect.stringMatching(/^mycel: the input is not JSON/),
      });
      expect(await runCli(stock.url, ["up", "--grpcurl"])).toMatchObject({
        code: 2,
        stderr: "mycel: up starts a mesh: there is no call to print\n",
      });
    });
  });
});
