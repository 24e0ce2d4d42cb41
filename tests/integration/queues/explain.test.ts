// Why a task waits, as a caller is told over a real coordinator: the facts are the broker's, the registry's and the log's.
import { type Client, Code, type ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { QueueService } from "../../../gen/mycel/v1/queue_service_pb.ts";
import {
  ExplanationCode,
  ExplanationDeadlineKind,
  type TaskExplanation,
} from "../../../gen/mycel/v1/task_explanation_pb.ts";
import { Priority, TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { durationFromMs, msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

let mesh: TestMesh;
let agents: Client<typeof AgentService>;
let queues: Client<typeof QueueService>;
beforeAll(async () => {
  mesh = await openMesh({ leaseMs: 1_000 });
  const transport = createGrpcTransport({ baseUrl: mesh.urls[0]! });
  agents = createClient(AgentService, transport);
  queues = createClient(QueueService, transport);
});
afterAll(() => mesh[Symbol.asyncDispose]());

async function explain(taskId: string): Promise<TaskExplanation> {
  return (await agents.explainTask({ taskId })).explanation!;
}

async function codesOf(taskId: string): Promise<ExplanationCode[]> {
  return (await explain(taskId)).reasons.map(({ code }) => code);
}

function json(input: JsonObject) {
  return { kind: { case: "json", value: fromJson(ValueSchema, input) } } as const;
}

test("a task that waits is told who could run it, what comes first, and when its time is over", async () => {
  const submit = async (priority: Priority, more: object = {}): Promise<string> =>
    (await agents.submitTask({ type: "t", queue: "line", priority, ...more })).taskId;
  await submit(Priority.CRITICAL);
  await submit(Priority.NORMAL);
  await submit(Priority.LOW);
  await submit(Priority.NORMAL);
  const taskId = await submit(Priority.NORMAL, { timeouts: { scheduleToStart: durationFromMs(60_000) } });
  await submit(Priority.NORMAL);

  const explanation = await explain(taskId);

  expect(explanation).toMatchObject({ queue: "line", priority: Priority.NORMAL, status: { taskId } });
  expect(explanation.reasons).toMatchObject([
    { code: ExplanationCode.NO_CAPABLE_AGENT, message: "no registered agent takes tasks of type t from queue line" },
    { code: ExplanationCode.BEHIND_OTHERS, aheadCount: 3n, message: "3 tasks come first" },
  ]);
  const { createTime } = explanation.status!;
  expect(explanation.nextDeadline).toMatchObject({
    kind: ExplanationDeadlineKind.SCHEDULE_TO_START,
    endsTask: true,
  });
  expect(msFromTimestamp(explanation.nextDeadline!.deadlineTime!)).toBe(msFromTimestamp(createTime!) + 60_000);
  await queues.pauseQueue({ queue: "line", reason: "deploy" });
  expect((await explain(taskId)).reasons[0]).toMatchObject({ code: ExplanationCode.QUEUE_PAUSED, detail: "deploy" });
});

test("a delayed task is told when it starts", async () => {
  const { taskId, status } = await agents.submitTask({
    type: "t",
    queue: "delayed",
    start: { case: "delay", value: durationFromMs(60_000) },
  });
  expect(await explain(taskId)).toMatchObject({
    reasons: [
      { code: ExplanationCode.SCHEDULED, untilTime: status!.nextAttemptTime },
      { code: ExplanationCode.NO_CAPABLE_AGENT },
    ],
  });
});

test("whose agent works, and who waits behind it, are told so, also when the agent is lost", async () => {
  const agent = await mesh.startAgent("worker", { MYCEL_CONCURRENCY: "1" });
  const submit = async (): Promise<string> =>
    (await agents.submitTask({ type: "work", input: json({ until: "never" }) })).taskId;
  const running = await submit();
  await expect.poll(() => codesOf(running), { timeout: 5_000 }).toEqual([ExplanationCode.RUNNING]);
  expect(await explain(running)).toMatchObject({
    reasons: [{ agentId: "worker", attempt: 1 }],
    nextDeadline: { kind: ExplanationDeadlineKind.START_TO_CLOSE, endsTask: false },
  });
  await submit();
  const last = await submit();
  await expect
    .poll(async () => (await explain(last)).reasons.find(({ code }) => code === ExplanationCode.AGENTS_BUSY), {
      timeout: 5_000,
    })
    .toMatchObject({ agentCount: 1, slotCount: 1, runningCount: 1 });

  await agent[Symbol.asyncDispose]();

  await expect
    .poll(() => codesOf(running), { timeout: 20_000 })
    .toEqual([ExplanationCode.AGENT_LOST, ExplanationCode.NO_CAPABLE_AGENT]);
});

test("a task that failed is told why, and when its next attempt comes", async () => {
  await using _agent = await mesh.startAgent("unlucky");
  const minute = durationFromMs(60_000);
  const { taskId } = await agents.submitTask({
    type: "fail",
    retryPolicy: { maximumAttempts: 2, initialInterval: minute, maximumInterval: minute },
  });
  await expect.poll(() => codesOf(taskId), { timeout: 5_000 }).toEqual([ExplanationCode.BACKING_OFF]);
  const { reasons, status } = await explain(taskId);
  expect(reasons).toMatchObject([
    { attempt: 1, untilTime: status!.nextAttemptTime, failure: { message: "no luck at attempt 1" } },
  ]);
  await queues.purgeQueue({ queue: "fail", states: [TaskState.BACKING_OFF] });
  expect(await explain(taskId)).toMatchObject({ reasons: [{ detail: "queue purged: fail" }] });
});

test("a dead letter is told why it failed, and what redrove it", async () => {
  const { taskId } = await agents.submitTask({
    type: "t",
    queue: "dead",
    timeouts: { scheduleToStart: durationFromMs(1_000) },
  });
  await agents.getTaskStatus({ taskId, wait: durationFromMs(10_000) });
  const [reason] = (await explain(taskId)).reasons;
  expect(reason).toMatchObject({
    code: ExplanationCode.ENDED,
    failure: { reason: "SCHEDULE_TO_START_TIMEOUT" },
    redrivenBy: "",
  });
  const { task } = await agents.retryTask({ taskId });
  await expect.poll(async () => (await explain(taskId)).reasons[0]?.redrivenBy, { timeout: 5_000 }).toBe(task?.taskId);
  await agents.cancelTask({ taskId: task!.taskId, reason: "enough" });
  expect(await explain(task!.taskId)).toMatchObject({
    status: { state: TaskState.CANCELED },
    reasons: [{ code: ExplanationCode.ENDED, detail: "enough" }],
  });
});

test("a task that is not there has nothing to be told", async () => {
  await expect(agents.explainTask({ taskId: "nobody" })).rejects.toSatisfy((error: ConnectError) => {
    expect([error.code, readDetails(error).reason]).toEqual([Code.NotFound, "TASK_NOT_FOUND"]);
    return true;
  });
});
