// HTTP clients without any RPC library, over HTTP/1.1: curl and fetch with JSON, and gRPC-Web as browsers speak it.
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { outputOf } from "../../support/command.ts";
import { failureOf } from "../../support/rpc-call.ts";
import { ECHO_REPEAT, echoInput, expectEchoStream, openStockMesh, type StockMesh } from "../../support/stock-mesh.ts";

const SERVICE = "mycel.v1.AgentService";

let stock: StockMesh;
beforeAll(async () => {
  stock = await openStockMesh({ trusted: false });
});
afterAll(() => stock[Symbol.asyncDispose]());

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: unknown;
}

type Send = (path: string, body?: string) => Promise<Answer>;

/** POSTs the body as JSON, or GETs if there is none. */
const sendBy: Readonly<Record<string, Send>> = {
  curl: async (path, body) => {
    const post = body === undefined ? [] : ["-H", "content-type: application/json", "--data-binary", "@-"];
    const args = [
      "-sS",
      "--http1.1",
      "-w",
      "\n%{http_code} %{http_version} %{content_type}",
      ...post,
      stock.url + path,
    ];
    const lines = (await outputOf("curl", args, body === undefined ? {} : { input: body })).split("\n");
    const [status, version, type] = lines.pop()!.split(" ");
    expect(version).toBe("1.1");
    return { status: Number(status), type: type!, body: JSON.parse(lines.join("\n")) as unknown };
  },
  fetch: async (path, body) => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(stock.url + path, body === undefined ? {} : { method: "POST", headers, body });
    const type = response.headers.get("content-type") ?? "";
    return { status: response.status, type, body: await response.json() };
  },
};

describe.for(Object.entries(sendBy))("JSON over HTTP/1.1 with %s", ([client, send]) => {
  const post = async (method: string, request: unknown): Promise<Answer> => {
    const answer = await send(`/${SERVICE}/${method}`, JSON.stringify(request));
    expect(answer.type).toBe("application/json");
    return answer;
  };
  const get = (method: string, request: unknown): Promise<Answer> => {
    const query = new URLSearchParams({ connect: "v1", encoding: "json", message: JSON.stringify(request) });
    return send(`/${SERVICE}/${method}?${query.toString()}`);
  };

  test("registers an agent", async () => {
    const agentId = `http-${client}`;
    const answer = await post("RegisterAgent", { agentId, name: client, capabilities: [{ type: `http-${client}` }] });
    expect(answer).toMatchObject({
      status: 200,
      body: {
        agent: { agentId, state: "AGENT_STATE_ACTIVE" },
        session: { leaseDuration: "2s", heartbeatInterval: "0.500s", tenant: "default" },
      },
    });
    const found = await get("GetAgent", { agentId });
    expect(found).toMatchObject({ status: 200, body: { agent: { agentId } } });
  });

  test("submits a task, waits for its end, and reads it by GET", async () => {
    const taskId = `http-submit-${client}`;
    const request = { taskId, type: "echo", priority: "PRIORITY_HIGH", input: { json: { message: "hi" } } };
    const submitted = await post("SubmitTask", { ...request, labels: { by: client } });
    expect(submitted).toMatchObject({ status: 200, body: { taskId, status: { state: "TASK_STATE_SUBMITTED" } } });
    const finished = await get("GetTaskStatus", { taskId, wait: "60s" });
    expect(finished).toMatchObject({ status: 200, body: { status: { state: "TASK_STATE_COMPLETED", attempt: 1 } } });
    expect(await get("GetTask", { taskId })).toMatchObject({
      status: 200,
      body: { task: { ...request, labels: { by: client }, result: { json: { message: "hi" } } } },
    });
    expect(await post("GetTask", { taskId })).toEqual(await get("GetTask", { taskId }));
  });

  test("finds a task in lists and counts", async () => {
    const labels = { list: client };
    await post("SubmitTask", { taskId: `http-list-${client}`, type: "nobody", labels });
    // The index may lag behind the log by a second, and has no event to wait for.
    const listed = async (): Promise<unknown> => (await get("ListTasks", { filter: { labels } })).body;
    await expect.poll(listed, { timeout: 30_000 }).toMatchObject({ tasks: [{ taskId: `http-list-${client}` }] });
    expect(await get("CountTasks", { filter: { labels } })).toMatchObject({
      body: { counts: [{ state: "TASK_STATE_SUBMITTED", taskCount: "1" }], totalCount: "1" },
    });
  });

  test("submits a batch and cancels one of it", async () => {
    const tasks = [1, 2].map((n) => ({ taskId: `http-batch-${client}-${n}`, type: "nobody" }));
    const batch = await post("BatchSubmitTasks", { tasks, atomic: true });
    expect(batch).toMatchObject({
      status: 200,
      body: { results: tasks.map(({ taskId }) => ({ submitted: { taskId } })) },
    });
    const canceled = await post("CancelTask", { taskId: tasks[0]!.taskId, reason: "no need" });
    expect(canceled).toMatchObject({ body: { status: { state: "TASK_STATE_CANCELED", cancelReason: "no need" } } });
    const other = await get("GetTaskStatus", { taskId: tasks[1]!.taskId });
    expect(other).toMatchObject({ body: { status: { state: "TASK_STATE_SUBMITTED" } } });
  });

  test("gets errors as JSON with code, message and details", async () => {
    expect(await post("SubmitTask", { taskId: "a b", labels: { "": "x" } })).toEqual({
      status: 400,
      type: "application/json",
      body: {
        code: "invalid_argument",
        message: expect.stringMatching(/^task_id: must be 1 to 100 characters .* \(and 2 more\)$/),
        details: [
          {
            type: "google.rpc.ErrorInfo",
            value: expect.stringMatching(/^[\w+/]+$/),
            debug: { reason: "INVALID_REQUEST", domain: "mycel.dev" },
          },
          {
            type: "google.rpc.BadRequest",
            value: expect.stringMatching(/^[\w+/]+$/),
            debug: {
              fieldViolations: [
                expect.objectContaining({ field: "task_id" }),
                { field: "type", description: "is required" },
                expect.objectContaining({ field: "labels" }),
              ],
            },
          },
        ],
      },
    });
    expect(await get("GetTask", { taskId: `http-none-${client}` })).toMatchObject({
      status: 404,
      body: {
        code: "not_found",
        details: [{ debug: { reason: "TASK_NOT_FOUND" } }, { type: "google.rpc.ResourceInfo" }],
      },
    });
  });

  test("does not change anything by GET", async () => {
    const message = encodeURIComponent(JSON.stringify({ taskId: `http-get-${client}`, type: "nobody" }));
    const response = await fetch(`${stock.url}/${SERVICE}/SubmitTask?connect=v1&encoding=json&message=${message}`);
    expect(response.status).toBe(405);
    expect(await get("GetTaskStatus", { taskId: `http-get-${client}` })).toMatchObject({ status: 404 });
  });
});

describe("the Connect protocol's streams with fetch", () => {
  const END_STREAM = 2;

  function envelope(message: unknown): Uint8Array<ArrayBuffer> {
    const json = new TextEncoder().encode(JSON.stringify(message));
    const bytes = new Uint8Array(5 + json.length);
    new DataView(bytes.buffer).setUint32(1, json.length);
    bytes.set(json, 5);
    return bytes;
  }

  async function* openStream(method: string, request: unknown): AsyncGenerator<{ flags: number; message: unknown }> {
    const response = await fetch(`${stock.url}/${SERVICE}/${method}`, {
      method: "POST",
      headers: { "content-type": "application/connect+json", "connect-protocol-version": "1" },
      body: envelope(request),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/connect+json");
    let pending = Buffer.alloc(0);
    for await (const chunk of response.body!) {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 5 && pending.length >= 5 + pending.readUInt32BE(1)) {
        const end = 5 + pending.readUInt32BE(1);
        yield { flags: pending[0]!, message: JSON.parse(pending.subarray(5, end).toString()) as unknown };
        pending = pending.subarray(end);
      }
    }
    expect(pending).toHaveLength(0);
  }

  test("stream the results of a task to its end", async () => {
    const taskId = "fetch-stream";
    const input = echoInput("by fetch");
    const body = JSON.stringify({ taskId, type: "echo", input: { json: input } });
    await fetch(`${stock.url}/${SERVICE}/SubmitTask`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    const all = await Array.fromAsync(openStream("StreamResults", { taskId }));
    expect(all.pop()).toEqual({ flags: END_STREAM, message: {} });
    expect(all.every(({ flags }) => flags === 0)).toBe(true);
    expectEchoStream(
      all.map(({ message }) => message),
      taskId,
      input.message,
    );
  });

  test("arrive as the task goes on, not when it ends", async () => {
    const taskId = "fetch-live";
    const stream = openStream("RunTask", { task: { taskId, type: "nobody" } });
    expect((await stream.next()).value).toMatchObject({ message: { submitted: { taskId } } });
    expect((await stream.next()).value).toMatchObject({ message: { result: { snapshot: { taskId } } } });
    await fetch(`${stock.url}/${SERVICE}/CancelTask`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ taskId }),
    });
    expect((await stream.next()).value).toMatchObject({
      message: { result: { stateChange: { status: { state: "TASK_STATE_CANCELED" } } } },
    });
    expect((await stream.next()).value).toEqual({ flags: END_STREAM, message: {} });
  });

  test("end with the error and its details", async () => {
    expect(await Array.fromAsync(openStream("StreamResults", { taskId: "fetch-unknown" }))).toMatchObject([
      {
        flags: END_STREAM,
        message: { error: { code: "not_found", details: [{ debug: { reason: "TASK_NOT_FOUND" } }, {}] } },
      },
    ]);
  });
});

describe("gRPC-Web over HTTP/1.1", () => {
  const open = (): ReturnType<typeof createClient<typeof AgentService>> =>
    createClient(AgentService, createGrpcWebTransport({ baseUrl: stock.url, httpVersion: "1.1" }));

  test("submits a task, waits for its end and streams it", async () => {
    const client = open();
    const taskId = "grpc-web";
    const input = { kind: { case: "json" as const, value: fromJson(ValueSchema, { ...echoInput("by gRPC-Web") }) } };
    expect(await client.submitTask({ taskId, type: "echo", input })).toMatchObject({ taskId, existing: false });
    const { status } = await client.getTaskStatus({ taskId, wait: { seconds: 60n } });
    expect(status?.state).toBe(TaskState.COMPLETED);
    const results = await Array.fromAsync(client.streamResults({ taskId }));
    const news = results.slice(1);
    expect(results[0]?.kind.case).toBe("snapshot");
    expect(news.map(({ sequence }) => Number(sequence))).toEqual(news.map((_, i) => i + 1));
    const outputs = Array.from({ length: ECHO_REPEAT }, () => "output");
    expect(news.map(({ kind }) => kind.case)).toEqual(["stateChange", ...outputs, "stateChange"]);
  });

  test("carries errors with their details, of single answers and of streams", async () => {
    const client = open();
    const invalid = await failureOf(client.submitTask({ taskId: "a b" }));
    expect(readDetails(invalid)).toMatchObject({
      reason: "INVALID_REQUEST",
      violations: [{ field: "task_id" }, { field: "type" }],
    });
    const unknown = await failureOf(Array.fromAsync(client.streamResults({ taskId: "grpc-web-unknown" })));
    expect(readDetails(unknown)).toMatchObject({ reason: "TASK_NOT_FOUND", resource: { name: "grpc-web-unknown" } });
  });
});

test("a web page whose name was made to resolve to this machine gets nothing, a balancer's probe what it asks for", async () => {
  const { port } = new URL(stock.url);
  const status = (url: string, ...args: readonly string[]): Promise<string> =>
    outputOf("curl", ["-sS", "-o", "/dev/null", "-w", "%{http_code}", ...args, url]);
  const rebound = ["--resolve", `page.example:${port}:127.0.0.1`];
  const page = `http://page.example:${port}`;
  const call = ["-H", "content-type: application/json", "-d", "{}"];
  expect(await status(`${page}/${SERVICE}/ListTasks`, ...rebound, "-H", `origin: ${page}`, ...call)).toBe("421");
  // Without an origin, as pages of one's own send them.
  expect(await status(`${page}/${SERVICE}/ListTasks?encoding=json&message=%7B%7D&connect=v1`, ...rebound)).toBe("421");
  expect(await status(`${stock.url}/${SERVICE}/ListTasks`, ...call)).toBe("200");
  expect(await status(`${page}/readyz`, ...rebound)).toBe("200");
});
