// Python from the protos alone: a client on grpcio, and an agent on grpcio and nats-py as docs/agents.md describes it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { Payload } from "../../gen/mycel/v1/payload_pb.ts";
import { Priority, TaskState } from "../../gen/mycel/v1/task_pb.ts";
import { jsonDocuments, runCommand } from "../support/command.ts";
import { failureOf } from "../support/rpc-call.ts";
import { echoInput, expectEchoStream, openStockMesh, type StockMesh } from "../support/stock-mesh.ts";
import { findPython } from "./toolchain.ts";

const tools = await findPython();
const TYPE = "word-count";

describe.skipIf(tools === undefined)("Python", () => {
  let stock: StockMesh;
  let client: Client<typeof AgentService>;
  beforeAll(async () => {
    stock = await openStockMesh();
    client = createClient(AgentService, createGrpcTransport({ baseUrl: stock.url }));
  });
  afterAll(() => stock[Symbol.asyncDispose]());

  const runClient = async (taskId: string, type: string, input: unknown): Promise<[number, unknown[]]> => {
    const args = [join(tools!.scripts, "client.py"), stock.address, taskId, type, JSON.stringify(input)];
    const { code, stdout, stderr } = await runCommand(tools!.python, args, { env: tools!.env });
    expect(stderr).toBe("");
    return [code, jsonDocuments(stdout)];
  };
  /** Runs the agent until the scope ends; its log is shown when it ends before it is ready. */
  const startAgent = async (
    agentId: string,
    address: string = stock.address,
  ): Promise<ChildProcess & AsyncDisposable> => {
    const child = spawn(tools!.python, [join(tools!.scripts, "agent.py"), address, agentId], {
      env: { ...process.env, ...tools!.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const exited = once(child, "exit");
    const lines: string[] = [];
    createInterface({ input: child.stderr }).on("line", (line) => lines.push(line));
    const ready = once(createInterface({ input: child.stdout }), "line");
    const ended = exited.then(() => Promise.reject(new Error(`the agent ended:\n${lines.join("\n")}`)));
    expect(JSON.parse(String((await Promise.race([ready, ended]))[0]))).toEqual({ msg: "ready", agent_id: agentId });
    ended.catch(() => undefined);
    return Object.assign(child, {
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGKILL");
        await exited;
      },
    });
  };
  const input = (value: JsonValue): { readonly kind: Payload["kind"] } => ({
    kind: { case: "json", value: fromJson(ValueSchema, value) },
  });

  test("a client on grpcio submits a task and streams it to its end", async () => {
    const taskId = "py-client";
    const sent = echoInput("by grpcio");
    const [code, answers] = await runClient(taskId, "echo", sent);
    expect(code).toBe(0);
    expect(answers.shift()).toMatchObject({ taskId, status: { state: "TASK_STATE_SUBMITTED" } });
    expect(answers.pop()).toMatchObject({ status: { state: "TASK_STATE_COMPLETED" } });
    expectEchoStream(answers, taskId, sent.message);
  });

  test("a client on grpcio reads the details of an error", async () => {
    const [code, answers] = await runClient("not a name", "", null);
    expect(code).toBe(1);
    expect(answers).toMatchObject([
      {
        code: "INVALID_ARGUMENT",
        message: expect.stringMatching(/^task_id: /),
        details: [
          { reason: "INVALID_REQUEST", domain: "mycel.dev" },
          { fieldViolations: [{ field: "task_id" }, { field: "type", description: "is required" }] },
        ],
      },
    ]);
  });

  test("an agent in Python completes a task and streams its outputs", async () => {
    await using _agent = await startAgent("py-agent");
    const [code, answers] = await runClient("py-words", TYPE, { text: "one two three\nfour five" });
    expect(code).toBe(0);
    const news = answers.slice(2, -1);
    expect(news).toMatchObject([
      { sequence: "1", stateChange: { status: { state: "TASK_STATE_WORKING", attempt: 1, agentId: "py-agent" } } },
      {
        sequence: "2",
        output: { attempt: 1, agentId: "py-agent", output: { index: "1", chunk: { json: { line: 1, words: 3 } } } },
      },
      { sequence: "3", output: { output: { index: "2", chunk: { json: { line: 2, words: 2 } } } } },
      {
        sequence: "4",
        stateChange: { status: { state: "TASK_STATE_COMPLETED" }, result: { json: { lines: 2, words: 5 } } },
      },
    ]);
  });

  test("an agent in Python ends a task that cannot succeed, and goes on", async () => {
    await using _agent = await startAgent("py-fails");
    await client.submitTask({ taskId: "py-bad", type: TYPE, input: input({ text: 7 }) });
    await client.submitTask({ taskId: "py-good", type: TYPE, input: input({ text: "fine" }) });
    const bad = await client.getTaskStatus({ taskId: "py-bad", wait: { seconds: 60n } });
    expect(bad.status).toMatchObject({
      state: TaskState.FAILED,
      attempt: 1,
      deadLetter: true,
      failure: { reason: "INVALID_INPUT", message: "text: must be a string", retryable: false },
    });
    const good = await client.getTaskStatus({ taskId: "py-good", wait: { seconds: 60n } });
    expect(good.status).toMatchObject({ state: TaskState.COMPLETED });
  });

  test("an agent in Python with a backlog starts the highest priority first", async () => {
    const tasks = (["LOW", "NORMAL", "CRITICAL", "HIGH"] as const).map((name) => ({
      taskId: `py-priority-${name}`,
      type: TYPE,
      priority: Priority[name],
      input: input({ text: "a\nb", pause: 0.05 }),
    }));
    await client.batchSubmitTasks({ tasks });
    await using _agent = await startAgent("py-strict");
    const started = await Promise.all(
      tasks.map(async ({ taskId }) => {
        const { status } = await client.getTaskStatus({ taskId, wait: { seconds: 60n } });
        expect(status?.state).toBe(TaskState.COMPLETED);
        const { seconds, nanos } = status!.attemptStartTime!;
        return { taskId, startMs: Number(seconds) * 1000 + nanos / 1e6 };
      }),
    );
    const order = started
      .toSorted((a, b) => a.startMs - b.startMs)
      .map(({ taskId }) => taskId.replace("py-priority-", ""));
    expect(order).toEqual(["CRITICAL", "HIGH", "NORMAL", "LOW"]);
  });

  test("an agent in Python keeps its lease, and drops a task that is canceled under its hands", async () => {
    await using _agent = await startAgent("py-long");
    // Longer than the lease of two seconds, which is renewed meanwhile.
    await client.submitTask({ taskId: "py-lease", type: TYPE, input: input({ text: "a", pause: 5 }) });
    const done = await client.getTaskStatus({ taskId: "py-lease", wait: { seconds: 60n } });
    expect(done.status).toMatchObject({ state: TaskState.COMPLETED, attempt: 1 });

    await client.submitTask({ taskId: "py-endless", type: TYPE, input: input({ text: "a", pause: 3_600 }) });
    for await (const { kind } of client.streamResults({ taskId: "py-endless" })) {
      if (kind.case === "stateChange" && kind.value.status?.state === TaskState.WORKING) {
        await client.cancelTask({ taskId: "py-endless" });
      }
    }
    // Its only slot is free again.
    await client.submitTask({ taskId: "py-next", type: TYPE, input: input({ text: "a" }) });
    const next = await client.getTaskStatus({ taskId: "py-next", wait: { seconds: 60n } });
    expect(next.status).toMatchObject({ state: TaskState.COMPLETED, agentId: "py-long" });
  });

  test("an agent in Python that is told to stop finishes its task, deregisters and exits", async () => {
    await using agent = await startAgent("py-stops");
    await client.submitTask({ taskId: "py-last", type: TYPE, input: input({ text: "a", pause: 1 }) });
    for await (const { kind } of client.streamResults({ taskId: "py-last" })) {
      if (kind.case === "stateChange" && kind.value.status?.state === TaskState.WORKING) agent.kill("SIGTERM");
      else if (kind.case === "stateChange") expect(kind.value.status?.state).toBe(TaskState.COMPLETED);
    }
    if (agent.exitCode === null) await once(agent, "exit");
    expect(agent.exitCode).toBe(0);
    expect((await failureOf(client.getAgent({ agentId: "py-stops" }))).code).toBe(Code.NotFound);
  });

  test("an agent in Python works on after a restart of the broker", async () => {
    await using _agent = await startAgent("py-stays");
    await client.submitTask({ taskId: "py-before", type: TYPE, input: input({ text: "a b" }) });
    await client.getTaskStatus({ taskId: "py-before", wait: { seconds: 60n } });
    await stock.mesh.nats.kill();
    await stock.mesh.nats.restart();
    const submit = (): Promise<unknown> =>
      client
        .submitTask({ taskId: "py-after", type: TYPE, input: input({ text: "a b" }) })
        .catch((error: unknown) => error);
    // The coordinator says UNAVAILABLE until it has found the broker again.
    await expect.poll(submit, { timeout: 60_000 }).toMatchObject({ taskId: "py-after" });
    const after = await client.getTaskStatus({ taskId: "py-after", wait: { seconds: 60n } });
    expect(after.status).toMatchObject({ state: TaskState.COMPLETED, agentId: "py-stays" });
  });

  test("an agent in Python outlives its credential, with the task that it is at", async () => {
    await using short = await openStockMesh({ leaseMs: 300_000, env: { MYCEL_AGENT_CREDENTIAL: "20000" } });
    await using _agent = await startAgent("py-renews", short.address);
    const mesh = createClient(AgentService, createGrpcTransport({ baseUrl: short.url }));
    // Over the renewal, over the end of the first credential, and after it.
    for (const [taskId, pause] of [
      ["py-over-renewal", 5],
      ["py-over-end", 4],
      ["py-after", 0],
    ] as const) {
      await mesh.submitTask({ taskId, type: TYPE, input: input({ text: "a\nb\nc", pause }) });
      const { status } = await mesh.getTaskStatus({ taskId, wait: { seconds: 60n } });
      expect(status).toMatchObject({ state: TaskState.COMPLETED, attempt: 1, agentId: "py-renews" });
    }
  });
});
