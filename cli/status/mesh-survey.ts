// What the mesh is like at this moment, asked of its parts at the same time. A part that does not answer is an error in its place and
// keeps nothing else from being told.
import type { Agent } from "../../gen/mycel/v1/agent_pb.ts";
import type { DeadLetter } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { Metrics } from "../../gen/mycel/v1/metrics_service_pb.ts";
import type { Queue } from "../../gen/mycel/v1/queue_pb.ts";
import { isTerminal, TASK_STATES, type TaskState } from "../../lib/core/task-state.ts";
import { durationFromMs, msFromTimestamp } from "../../lib/wire/time-codec.ts";
import { type MeshHealth, type MycelClient, MycelError, type TaskCount } from "../../sdk/client/index.ts";
import { lineOf } from "../failure.ts";

/** What was told, or why nothing was. */
export type Told<T> = { readonly value: T } | { readonly error: string };

/** Dead letters of late. */
export interface RecentDeadLetters {
  /** The newest, newest first. */
  readonly letters: readonly DeadLetter[];
  /** Whether there are more of late than these. */
  readonly more: boolean;
}

/** The mesh at a glance. */
export interface MeshSurvey {
  readonly agents: Told<readonly Agent[]>;
  readonly tasks: Told<TaskCount>;
  readonly queues: Told<readonly Queue[]>;
  readonly deadLetters: Told<RecentDeadLetters>;
  /** Undefined where no coordinator keeps metrics. */
  readonly metrics: Told<Metrics | undefined>;
}

/** How far back dead letters are of late. */
export const RECENT_MS = 3_600_000;

/** The window of the metrics. */
export const METRICS_WINDOW_MS = 300_000;

/** The states of tasks that have not ended. */
export const OPEN_STATES: readonly TaskState[] = TASK_STATES.filter((state) => !isTerminal(state));

const PAGE = 1_000;
const MAX_DEAD_LETTERS = 100;

/** Asks the mesh, and each coordinator for its health. Rejects only when the signal aborts. */
export async function surveyMesh(client: MycelClient, signal: AbortSignal): Promise<MeshSurvey> {
  const [agents, tasks, queues, deadLetters, metrics] = await Promise.all([
    told(Array.fromAsync(client.agents({}, { pageSize: PAGE, signal }))),
    told(client.count({ states: OPEN_STATES }, { signal })),
    told(queuesOf(client, signal)),
    told(deadLettersOf(client, signal)),
    told(metricsOf(client, signal)),
  ]);
  signal.throwIfAborted();
  return { agents, tasks, queues, deadLetters, metrics };
}

/** Whether a coordinator serves; of a client that is about to be asked anything else. */
export type HealthOf = Pick<MeshHealth, "healthy" | "endpoints">;

async function queuesOf({ queues }: MycelClient, signal: AbortSignal): Promise<Queue[]> {
  const found: Queue[] = [];
  let pageToken = "";
  do {
    const page = await queues.listQueues({ pageSize: PAGE, pageToken }, { signal });
    found.push(...page.queues);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return found;
}

async function deadLettersOf(client: MycelClient, signal: AbortSignal): Promise<RecentDeadLetters> {
  const fromMs = Date.now() - RECENT_MS;
  const letters: DeadLetter[] = [];
  for await (const letter of client.deadLetters({}, { pageSize: MAX_DEAD_LETTERS + 1, signal })) {
    if ((msFromTimestamp(letter.task?.status?.endTime) ?? 0) < fromMs) break;
    if (letters.length === MAX_DEAD_LETTERS) return { letters, more: true };
    letters.push(letter);
  }
  return { letters, more: false };
}

async function metricsOf({ metrics }: MycelClient, signal: AbortSignal): Promise<Metrics | undefined> {
  try {
    return (await metrics.getMetrics({ window: durationFromMs(METRICS_WINDOW_MS) }, { signal })).metrics;
  } catch (error) {
    if (error instanceof MycelError && error.code === "unimplemented") return undefined;
    throw error;
  }
}

async function told<T>(asked: Promise<T>): Promise<Told<T>> {
  try {
    return { value: await asked };
  } catch (error) {
    if (error instanceof MycelError) return { error: lineOf(error) };
    throw error;
  }
}
