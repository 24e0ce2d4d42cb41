// What clients of the mesh do, each as one small story: submit and wait, in bulk, as a stream; follow, leave and come back; cancel,
// repeat, redrive, delay. Everything that a client is told goes into the journal. Knows nothing of faults.
import { createHash } from "node:crypto";
import type { TaskStatus } from "../../../gen/mycel/v1/task_pb.ts";
import { isTerminal } from "../../../lib/core/task-state.ts";
import { pause } from "../../../lib/time/pause.ts";
import {
  type MycelClient,
  MycelError,
  type PriorityName,
  type TaskOptions,
  type TaskOutcome,
  type TaskSubmission,
} from "../../../sdk/client/index.ts";
import { stateNameOf } from "../../../sdk/client/event.ts";
import { monotonicMs } from "../history.ts";
import type { Random } from "../random.ts";
import type { Journal, Submitted } from "./journal.ts";
import { readAnew } from "./reader.ts";

/** What a scenario works with. */
export interface Stage {
  readonly name: string;
  readonly client: MycelClient;
  /** All clients, for stories in which several act on one task. */
  readonly clients: readonly MycelClient[];
  readonly journal: Journal;
  readonly random: Random;
  /** A new task's id. */
  readonly newTaskId: () => string;
  /** Ends the waits of a workload that gives up. */
  readonly signal: AbortSignal;
}

/** One story. Rejects only for what is no call of a client. */
export type Scenario = (stage: Stage) => Promise<void>;

const PRIORITIES: readonly PriorityName[] = ["low", "normal", "normal", "normal", "high", "critical"];
const WAIT_MS = 120_000;

/** Submits one task of a mixed kind and waits for its end. */
export const one: Scenario = async (stage) => {
  const task = mixedTask(stage);
  if (await submit(stage, task)) await waitForEnd(stage, task.taskId);
};

/** Submits some tasks in one call, sometimes all or none of them, and waits for each. */
export const bulk: Scenario = async (stage) => {
  const { random } = stage;
  // From 64 on they travel as one atomic batch of the log.
  const count = random.chance(0.2) ? random.between(64, 90) : random.between(5, 40);
  const tasks = Array.from({ length: count }, () => mixedTask(stage));
  const startedAt = monotonicMs();
  const atomic = random.chance(0.2);
  const answers = await stage.client.submitMany(tasks, { atomic, signal: stage.signal }).catch((error: unknown) => {
    for (const task of tasks) stage.journal.notSubmitted(submittedAs(stage, task), startedAt, error);
    return [];
  });
  await Promise.all(
    answers.map(async (answer, i) => {
      const task = tasks[i];
      if (task === undefined) return;
      const as = submittedAs(stage, task);
      if (!answer.ok) return stage.journal.notSubmitted(as, startedAt, answer.error);
      stage.journal.submitted(as, startedAt, answer.existing);
      return await waitForEnd(stage, task.taskId);
    }),
  );
};

/** Submits some tasks over one stream and waits for each. */
export const streamedIn: Scenario = async (stage) => {
  const tasks = Array.from({ length: stage.random.between(5, 40) }, () => mixedTask(stage));
  const startedAt = monotonicMs();
  const accepted: string[] = [];
  const answered = new Set<number>();
  try {
    for await (const ack of stage.client.submitStream(tasks, { signal: stage.signal })) {
      const task = tasks[ack.index];
      if (task === undefined) continue;
      answered.add(ack.index);
      if (ack.ok) {
        stage.journal.submitted(submittedAs(stage, task), startedAt, ack.existing);
        accepted.push(task.taskId);
      } else stage.journal.notSubmitted(submittedAs(stage, task), startedAt, ack.error);
    }
  } catch (error) {
    for (const [i, task] of tasks.entries()) {
      if (!answered.has(i)) stage.journal.notSubmitted(submittedAs(stage, task), startedAt, error);
    }
  }
  await Promise.all(accepted.map((taskId) => waitForEnd(stage, taskId)));
};

/** Submits a task that streams, and follows it as the SDK does. */
export const followed: Scenario = async (stage) => {
  const { random, journal, client } = stage;
  const task = streamingTask(stage);
  if (!(await submit(stage, task))) return;
  const reader = `${stage.name}-${task.taskId}`;
  const startedAt = monotonicMs();
  const place = { reader, taskId: task.taskId, connection: 1 };
  try {
    for await (const event of client.watch(task.taskId, { signal: stage.signal })) {
      if (event.kind === "snapshot" || event.kind === "state") {
        const { attempt, agentId } = event.status;
        journal.read({ ...place, kind: event.kind, sequence: event.sequence, state: event.state, attempt, agentId });
        if (event.kind === "state" || isTerminal(event.state)) journal.told("watch", monotonicMs(), event.status);
      } else if (event.kind === "chunk") {
        const { attempt, agentId, sequence } = event;
        journal.read({ ...place, kind: "chunk", sequence, attempt, agentId, index: indexOf(event.value) });
      }
    }
    journal.read({ ...place, kind: "end", sequence: 0 });
  } catch (error) {
    const { code, message } = journal.failed("watch", startedAt, error);
    journal.read({ ...place, kind: "left", sequence: 0, reason: `${code}: ${message}` });
  }
  // Some ask again, long after the end.
  if (random.chance(0.3)) await waitForEnd(stage, task.taskId);
};

/** Submits a task that streams; readers come, leave in the middle and resume from their cursor on any coordinator. */
export const resumed: Scenario = async (stage) => {
  const task = streamingTask(stage);
  if (!(await submit(stage, task))) return;
  const readers = stage.random.between(1, 2);
  await Promise.all(
    Array.from({ length: readers }, (_, i) =>
      readAnew({ ...stage, random: stage.random.fork() }, `${stage.name}-${task.taskId}-${i}`, task.taskId, indexOf),
    ),
  );
};

/** Submits a task and cancels it, before, while or after it runs. */
export const canceled: Scenario = async (stage) => {
  const { random } = stage;
  const input = { maxMs: 30_000 };
  const task = random.chance(0.6)
    ? { ...base(stage), type: "patient", input }
    : { ...base(stage), type: "work", input: { workMs: random.between(0, 60) } };
  if (!(await submit(stage, task))) return;
  const ended = waitForEnd(stage, task.taskId);
  // A client's own time between two acts.
  await pause(random.between(0, 120), stage.signal);
  const client = random.pick(stage.clients);
  const startedAt = monotonicMs();
  try {
    stage.journal.told(
      "cancel",
      startedAt,
      await client.cancel(task.taskId, "changed my mind", { signal: stage.signal }),
    );
  } catch (error) {
    // That a task has ended and cannot be canceled is an answer like any other.
    const answered = error instanceof MycelError && error.code === "failed_precondition";
    if (!answered) stage.journal.failed("cancel", startedAt, error);
  }
  await ended;
};

/** Several clients submit the same task at once, and again when it is over: it stays one task. */
export const repeated: Scenario = async (stage) => {
  const { random, journal, clients } = stage;
  const task = mixedTask(stage);
  const asked = clients.slice(0, random.between(2, 3));
  await Promise.all(asked.map((client, i) => submit({ ...stage, client, name: `${stage.name}-${i}` }, task)));
  if (!journal.open.includes(task.taskId)) return;
  await waitForEnd(stage, task.taskId);
  const startedAt = monotonicMs();
  try {
    const again = await random.pick(clients).submit(task.type, task.input, { ...task, signal: stage.signal });
    journal.submitted(submittedAs(stage, task), startedAt, again.existing);
    if (!again.existing)
      journal.complaints.push(`${task.taskId}: submitted again after its end, it was taken for a new task`);
    journal.told("status", startedAt, again.status);
  } catch (error) {
    journal.notSubmitted(submittedAs(stage, task), startedAt, error);
  }
};

/** Submits a task that fails for good and redrives it. */
export const redriven: Scenario = async (stage) => {
  const { journal, client } = stage;
  const task = { ...base(stage), type: "fail", input: {} };
  if (!(await submit(stage, task))) return;
  const status = await waitForEnd(stage, task.taskId);
  if (status === undefined || stateNameOf(status) !== "failed") return;
  const startedAt = monotonicMs();
  const { maximumAttempts } = submittedAs(stage, task);
  try {
    const { task: next, existing } = await client.retry(task.taskId, { signal: stage.signal });
    journal.submitted(
      { client: stage.name, taskId: next.taskId, type: next.type, maximumAttempts },
      startedAt,
      existing,
    );
    await waitForEnd(stage, next.taskId);
  } catch (error) {
    journal.failed("retry", startedAt, error);
  }
};

/** Submits a task that starts later. */
export const delayed: Scenario = async (stage) => {
  const task = { ...mixedTask(stage), delayMs: stage.random.between(20, 1_500) };
  if (await submit(stage, task)) await waitForEnd(stage, task.taskId);
};

/** Submits a task that nobody can do, and that must start soon. */
export const expired: Scenario = async (stage) => {
  const task = { ...base(stage), type: "nobody", input: {}, scheduleToStartMs: stage.random.between(1_000, 1_500) };
  if (!(await submit(stage, task))) return;
  const status = await waitForEnd(stage, task.taskId);
  if (status !== undefined && stateNameOf(status) !== "timed_out") {
    stage.journal.complaints.push(`${task.taskId}: nobody can do it, and it ended as ${stateNameOf(status)}`);
  }
};

/** Submits a task with a large input, and checks that the agent got just that. */
export const large: Scenario = async (stage) => {
  const { random } = stage;
  const input = Buffer.alloc(random.between(1_000, 700_000), random.between(0, 255));
  input.writeUInt32LE(random.between(0, 2 ** 32 - 1));
  const expected = createHash("sha256").update(input).digest("hex");
  const task = { ...base(stage), type: "digest", input, startToCloseMs: 60_000 };
  if (!(await submit(stage, task))) return;
  await waitForEnd(stage, task.taskId, ({ sha256 }) => {
    if (sha256 !== expected)
      stage.journal.complaints.push(`${task.taskId}: the agent got other bytes than were submitted`);
  });
};

interface Task extends TaskSubmission {
  readonly taskId: string;
}

function base({ newTaskId, random }: Stage): TaskOptions & { readonly taskId: string } {
  return {
    taskId: newTaskId(),
    priority: random.pick(PRIORITIES),
    startToCloseMs: 20_000,
    retry: { maximumAttempts: 8, initialIntervalMs: random.between(10, 300), maximumIntervalMs: 1_000 },
  };
}

function mixedTask(stage: Stage): Task {
  const { random } = stage;
  const dice = random.next();
  if (dice < 0.7) return { ...base(stage), type: "quick", input: {} };
  if (dice < 0.9) return { ...base(stage), type: "work", input: { workMs: random.between(1, 150) } };
  return { ...base(stage), type: "flaky", input: { failures: random.between(1, 2) } };
}

function streamingTask(stage: Stage): Task {
  const { random } = stage;
  const input = { chunks: random.between(1, 25), everyMs: random.between(0, 60) };
  return { ...base(stage), type: "stream", input };
}

function submittedAs({ name }: Stage, { taskId, type, retry }: Task): Submitted {
  return { client: name, taskId, type, maximumAttempts: retry?.maximumAttempts ?? 3 };
}

/** Submits, and says whether the mesh has the task for sure. */
async function submit(stage: Stage, task: Task): Promise<boolean> {
  const startedAt = monotonicMs();
  const as = submittedAs(stage, task);
  const { type, input, ...options } = task;
  try {
    const { existing } = await stage.client.submit(type, input, { ...options, signal: stage.signal });
    stage.journal.submitted(as, startedAt, existing);
    return true;
  } catch (error) {
    stage.journal.notSubmitted(as, startedAt, error);
    return false;
  }
}

/** Waits for a task's end as often as it takes; undefined when the workload gave up. */
async function waitForEnd(
  stage: Stage,
  taskId: string,
  onResult?: (result: Record<string, unknown>) => void,
): Promise<TaskStatus | undefined> {
  while (!stage.signal.aborted) {
    const startedAt = monotonicMs();
    try {
      const client = stage.random.chance(0.8) ? stage.client : stage.random.pick(stage.clients);
      const outcome: TaskOutcome = await client.outcome(taskId, { timeoutMs: WAIT_MS, signal: stage.signal });
      const result = outcome.state === "completed" ? recordOf(outcome.result) : undefined;
      const execution = result?.["execution"];
      stage.journal.told("outcome", startedAt, outcome.status, typeof execution === "string" ? execution : undefined);
      if (result !== undefined) onResult?.(result);
      return outcome.status;
    } catch (error) {
      if (!stage.signal.aborted) stage.journal.failed("outcome", startedAt, error);
    }
  }
  return undefined;
}

function indexOf(value: unknown): number {
  const index = recordOf(value)["index"];
  return typeof index === "number" ? index : 0;
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}
