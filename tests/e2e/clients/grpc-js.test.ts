// A plain grpc-js client with the protos of the repository, against a running mesh.
import { once } from "node:events";
import { credentials, makeClientConstructor, type ServiceError, status } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  allOf,
  type GrpcJsClient,
  type Message,
  openGrpcJs,
  protoValue,
  serviceErrorOf,
  statusDetails,
} from "../../support/grpc-js-client.ts";
import { ECHO_REPEAT, echoInput, openStockMesh, type StockMesh } from "../../support/stock-mesh.ts";
import { SERVICES } from "../../support/services.ts";

let stock: StockMesh;
let rpc: GrpcJsClient;
beforeAll(async () => {
  stock = await openStockMesh({ trusted: false });
  rpc = openGrpcJs(stock.address);
});
afterAll(async () => {
  rpc[Symbol.dispose]();
  await stock[Symbol.asyncDispose]();
});

/** A task that streams its outputs. */
function echoTask(taskId: string): object {
  return { taskId, type: "echo", input: { json: protoValue(echoInput(`from ${taskId}`)) } };
}

/** A task for which nobody ever works. */
function idleTask(taskId: string): object {
  return { taskId, type: "nobody" };
}

function expectWholeStream(messages: readonly Message[], taskId: string): void {
  expect(messages[0]).toMatchObject({ kind: "snapshot", snapshot: { taskId, type: "echo" } });
  const news = messages.filter(({ kind }) => kind === "stateChange" || kind === "output");
  expect(news.map(({ sequence }) => sequence)).toEqual(news.map((_, i) => String(i + 1)));
  expect(news.map(({ kind }) => kind)).toEqual([
    "stateChange",
    ...Array.from({ length: ECHO_REPEAT }, () => "output"),
    "stateChange",
  ]);
  expect(messages.at(-1)).toMatchObject({
    stateChange: {
      status: { state: "TASK_STATE_COMPLETED", attempt: 1 },
      result: { json: protoValue({ message: `from ${taskId}`, outputs: ECHO_REPEAT }) },
    },
  });
}

describe("a grpc-js client", () => {
  test("registers, finds and deregisters an agent", async () => {
    const agent = {
      agentId: "js-agent",
      name: "grpc-js",
      capabilities: [{ type: "js-typing", description: "Types." }],
    };
    const registered = await rpc.unary("RegisterAgent", { ...agent, concurrency: 3, labels: { zone: "here" } });
    expect(registered).toMatchObject({
      agent: { ...agent, concurrency: 3, labels: { zone: "here" }, state: "AGENT_STATE_ACTIVE" },
      session: { natsUrls: [stock.mesh.nats.url], tenant: "default", leaseDuration: { seconds: "2", nanos: 0 } },
    });
    const found = await rpc.unary("ListAgents", { type: "js-typing" });
    expect(found).toMatchObject({ agents: [{ agentId: "js-agent" }], nextPageToken: "" });
    await rpc.unary("DeregisterAgent", { agentId: "js-agent" });
    const error = await serviceErrorOf(rpc.unary("GetAgent", { agentId: "js-agent" }));
    expect(error.code).toBe(status.NOT_FOUND);
  });

  test("submits a task, waits for its end, reads its result and streams it", async () => {
    const taskId = "js-submit";
    const submitted = await rpc.unary("SubmitTask", echoTask(taskId));
    expect(submitted).toMatchObject({ taskId, existing: false, status: { state: "TASK_STATE_SUBMITTED" } });
    const finished = await rpc.unary("GetTaskStatus", { taskId, wait: { seconds: 60 } });
    expect(finished).toMatchObject({ status: { taskId, state: "TASK_STATE_COMPLETED", attempt: 1 } });
    const whole = await rpc.unary("GetTask", { taskId });
    expect(whole).toMatchObject({
      task: {
        input: { json: protoValue(echoInput(`from ${taskId}`)) },
        result: { json: protoValue({ message: `from ${taskId}`, outputs: ECHO_REPEAT }) },
      },
    });
    expectWholeStream(await allOf(rpc.stream("StreamResults", { taskId })), taskId);
  });

  test("resumes a stream after a cursor, and chooses kinds", async () => {
    const taskId = "js-resume";
    const all = (await allOf(rpc.stream("RunTask", { task: echoTask(taskId) }))).slice(1);
    const results = all.map(({ result }) => result as Message);
    expectWholeStream(results, taskId);
    const news = results.filter(({ kind }) => kind !== "snapshot");
    const half = news[1]!;
    const [snapshot, ...rest] = await allOf(rpc.stream("StreamResults", { taskId, cursor: half["cursor"] }));
    expect(snapshot).toMatchObject({ kind: "snapshot", cursor: half["cursor"], sequence: half["sequence"] });
    expect(rest).toEqual(news.slice(2));
    const states = await allOf(rpc.stream("StreamResults", { taskId, kinds: ["RESULT_KIND_STATE"] }));
    expect(states.map(({ kind }) => kind)).toEqual(["snapshot", "stateChange", "stateChange"]);
  });

  test("runs a task and follows it in one call", async () => {
    const taskId = "js-run";
    const [first, ...rest] = await allOf(rpc.stream("RunTask", { task: echoTask(taskId) }));
    expect(first).toMatchObject({ kind: "submitted", submitted: { taskId, existing: false } });
    expectWholeStream(
      rest.map(({ result }) => result as Message),
      taskId,
    );
  });

  test("submits a batch with a result for each item", async () => {
    const tasks = [echoTask("js-batch-1"), { taskId: "js-batch-2", type: "no such name!" }, echoTask("js-batch-3")];
    expect(await rpc.unary("BatchSubmitTasks", { tasks })).toMatchObject({
      results: [
        { result: "submitted", submitted: { taskId: "js-batch-1" } },
        { result: "error", error: { code: status.INVALID_ARGUMENT, violations: [{ field: "type" }] } },
        { result: "submitted", submitted: { taskId: "js-batch-3" } },
      ],
    });
    for (const taskId of ["js-batch-1", "js-batch-3"]) {
      const finished = await rpc.unary("GetTaskStatus", { taskId, wait: { seconds: 60 } });
      expect(finished).toMatchObject({ status: { state: "TASK_STATE_COMPLETED" } });
    }
  });

  test("streams submissions both ways, each answered on its own, more than may be unanswered at once", async () => {
    const call = rpc.duplex("SubmitTaskStream");
    const answers = allOf(call);
    const count = 1_500;
    for (let i = 0; i < count; i += 1) {
      const task = i === 7 ? { taskId: "js-stream-7", type: "" } : idleTask(`js-stream-${i}`);
      // The stream takes what it can; the rest waits here for its turn, as flow control wants it.
      if (!call.write({ task })) await once(call, "drain");
    }
    call.end();
    const byIndex = new Map((await answers).map((answer) => [Number(answer["index"]), answer]));
    expect(byIndex.size).toBe(count);
    expect(byIndex.get(7)).toMatchObject({
      result: "error",
      error: { code: status.INVALID_ARGUMENT, reason: "INVALID_REQUEST", violations: [{ field: "type" }] },
    });
    byIndex.delete(7);
    for (const [index, answer] of byIndex) {
      expect(answer).toMatchObject({ result: "submitted", submitted: { taskId: `js-stream-${index}` } });
    }
  });

  test("gets answers while its own side of the stream is open", async () => {
    const call = rpc.duplex("SubmitTaskStream");
    const answers = call[Symbol.asyncIterator]() as AsyncIterator<Message>;
    for (const taskId of ["js-open-0", "js-open-1"]) {
      call.write({ task: idleTask(taskId) });
      expect((await answers.next()).value).toMatchObject({ submitted: { taskId } });
    }
    call.end();
    expect(await answers.next()).toMatchObject({ done: true });
  });

  test("cancels a task, and every stream of it ends with CANCELED", async () => {
    const taskId = "js-cancel";
    const call = rpc.stream("RunTask", { task: idleTask(taskId) });
    const messages = call[Symbol.asyncIterator]() as AsyncIterator<Message>;
    expect((await messages.next()).value).toMatchObject({ kind: "submitted" });
    expect((await messages.next()).value).toMatchObject({ result: { kind: "snapshot" } });
    const canceled = await rpc.unary("CancelTask", { taskId, reason: "enough" });
    expect(canceled).toMatchObject({ status: { state: "TASK_STATE_CANCELED", cancelReason: "enough" } });
    expect((await messages.next()).value).toMatchObject({
      result: { stateChange: { status: { state: "TASK_STATE_CANCELED", cancelReason: "enough" } } },
    });
    expect(await messages.next()).toMatchObject({ done: true });
  });

  test("may leave a stream at any time", async () => {
    const taskId = "js-leave";
    const call = rpc.stream("RunTask", { task: idleTask(taskId) });
    const ended = new Promise<ServiceError>((resolve) => call.once("error", resolve));
    await once(call, "data");
    call.cancel();
    expect((await ended).code).toBe(status.CANCELLED);
    expect(await rpc.unary("GetTaskStatus", { taskId })).toMatchObject({ status: { state: "TASK_STATE_SUBMITTED" } });
  });

  test("gets DEADLINE_EXCEEDED when its deadline passes, and the task goes on", async () => {
    const taskId = "js-deadline";
    await rpc.unary("SubmitTask", idleTask(taskId));
    const inTime = { deadline: Date.now() + 300 };
    const waiting = rpc.unary("GetTaskStatus", { taskId, wait: { seconds: 60 } }, inTime);
    expect((await serviceErrorOf(waiting)).code).toBe(status.DEADLINE_EXCEEDED);
    const streaming = allOf(rpc.stream("StreamResults", { taskId }, { deadline: Date.now() + 300 }));
    expect((await serviceErrorOf(streaming)).code).toBe(status.DEADLINE_EXCEEDED);
    expect(await rpc.unary("GetTaskStatus", { taskId })).toMatchObject({ status: { state: "TASK_STATE_SUBMITTED" } });
  });

  test("gets the status of a task that does not change after the time it was willing to wait", async () => {
    const taskId = "js-wait";
    await rpc.unary("SubmitTask", idleTask(taskId));
    const answer = await rpc.unary("GetTaskStatus", { taskId, wait: { seconds: 0, nanos: 200_000_000 } });
    expect(answer).toMatchObject({ status: { taskId, state: "TASK_STATE_SUBMITTED" } });
  });

  test("reads the details of an error from its trailers", async () => {
    const error = await serviceErrorOf(
      rpc.unary("SubmitTask", { taskId: "a b", type: "", requestId: "x".repeat(257) }),
    );
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.details).toMatch(/^task_id: .* \(and 2 more\)$/);
    const details = statusDetails(error.metadata);
    expect(details.get("google.rpc.ErrorInfo")).toMatchObject({ reason: "INVALID_REQUEST", domain: "mycel.dev" });
    expect(details.get("google.rpc.BadRequest")).toMatchObject({
      fieldViolations: [{ field: "task_id" }, { field: "request_id" }, { field: "type" }],
    });
  });

  test("reads the details of a stream's error from its trailers", async () => {
    const error = await serviceErrorOf(allOf(rpc.stream("StreamResults", { taskId: "js-unknown" })));
    expect(error).toMatchObject({ code: status.NOT_FOUND, details: 'no task "js-unknown"' });
    const details = statusDetails(error.metadata);
    expect(details.get("google.rpc.ErrorInfo")).toMatchObject({ reason: "TASK_NOT_FOUND" });
    expect(details.get("google.rpc.ResourceInfo")).toMatchObject({
      resourceType: "mycel.v1.Task",
      resourceName: "js-unknown",
    });
  });
});

test("a grpc-js client on a coordinator that drains is told to resume elsewhere, and does", async () => {
  const taskId = "js-moves";
  const url = await stock.mesh.addCoordinator();
  const leaving = stock.mesh.coordinators.at(-1)!;
  using there = openGrpcJs(new URL(url).host);
  await rpc.unary("SubmitTask", { ...idleTask(taskId), queue: "js-moves" });
  const [before, moved] = await firstAndError(there, taskId, () => leaving.signal("SIGTERM"));
  expect(moved.code).toBe(status.UNAVAILABLE);
  const details = statusDetails(moved.metadata);
  expect(details.get("google.rpc.ErrorInfo")).toMatchObject({ reason: "DRAINING", domain: "mycel.dev" });
  expect(details.has("google.rpc.RetryInfo")).toBe(true);
  expect(await leaving.exited).toBe(0);

  await rpc.unary("CancelTask", { taskId });
  const [snapshot, ...rest] = await allOf(rpc.stream("StreamResults", { taskId, cursor: before["cursor"] }));
  expect(snapshot).toMatchObject({ kind: "snapshot" });
  expect(rest).toMatchObject([{ sequence: "1", stateChange: { status: { state: "TASK_STATE_CANCELED" } } }]);
});

async function firstAndError(
  client: GrpcJsClient,
  taskId: string,
  leave: () => void,
): Promise<[Message, ServiceError]> {
  const messages = client.stream("StreamResults", { taskId })[Symbol.asyncIterator]() as AsyncIterator<Message>;
  const first = await messages.next();
  leave();
  return [first.value as Message, await serviceErrorOf(messages.next())];
}

describe("grpc-health-check's client", () => {
  const Health = makeClientConstructor(healthService, "grpc.health.v1.Health");

  test("checks every service, and NOT_FOUND for an unknown one", async () => {
    const health = new Health(stock.address, credentials.createInsecure());
    const check = (service: string): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const done = (error: ServiceError | null, answer: unknown): void => (error ? reject(error) : resolve(answer));
        health["check"]!({ service }, done);
      });
    for (const service of ["", ...SERVICES.map(({ typeName }) => typeName)]) {
      expect(await check(service)).toMatchObject({ status: "SERVING" });
    }
    await expect(check("no.such")).rejects.toMatchObject({ code: status.NOT_FOUND });
    health.close();
  });

  test("watches a coordinator that drains: NOT_SERVING, then the stream ends", async () => {
    const url = await stock.mesh.addCoordinator();
    const coordinator = stock.mesh.coordinators.at(-1)!;
    const health = new Health(new URL(url).host, credentials.createInsecure());
    const call = health["watch"]!({ service: "mycel.v1.AgentService" }) as ReturnType<GrpcJsClient["stream"]>;
    const ended = new Promise<ServiceError>((resolve) => call.once("error", resolve));
    expect(await once(call, "data")).toMatchObject([{ status: "SERVING" }]);
    const told = once(call, "data");
    coordinator.signal("SIGTERM");
    expect(await told).toMatchObject([{ status: "NOT_SERVING" }]);
    expect((await ended).code).toBe(status.UNAVAILABLE);
    expect(await coordinator.exited).toBe(0);
    health.close();
  });
});
