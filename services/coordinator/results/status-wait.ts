// The long poll of GetTaskStatus: waits for news of one task, and at intervals looks for what makes no news.

import type { Payload } from "../../../gen/mycel/v1/payload_pb.ts";
import type { TaskStatus } from "../../../gen/mycel/v1/task_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { isTerminal } from "../../../lib/core/task-state.ts";
import type { LiveHub, LiveWatch } from "../../../lib/nats/live-hub.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import { stateFromWire } from "../../../lib/wire/state-codec.ts";
import { parseOutputSubject } from "../../../lib/wire/subjects.ts";
import { statusOf, type TaskRecord } from "../../../lib/wire/task-codec.ts";
import { readVisible } from "../tasks/visibility.ts";
import type { Waits } from "./sleeper.ts";

/** What to wait for. */
export interface StatusQuestion {
  readonly tenant: string;
  readonly taskId: string;
  /** The tasks that whoever asks may see; all if undefined. */
  readonly scope?: TaskScope | undefined;
  /** How long to wait at most, in milliseconds. */
  readonly waitMs: number;
  /** The revision that is known; undefined to wait for a terminal state. */
  readonly afterRevision?: bigint | undefined;
  /** Ends the wait; it then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** How far a task is. */
export interface StatusAnswer {
  readonly status: TaskStatus;
  /** What it returned, if it is completed. */
  readonly result: Payload | undefined;
}

/** What a wait needs. */
export interface StatusWaitParts {
  readonly logs: {
    readonly taskLog: Pick<TaskLog, "read" | "readCurrent">;
    readonly hub: Pick<LiveHub, "watch">;
  };
  readonly waits: Waits;
  readonly clock: Clock;
  /** Called when there is news. */
  readonly notify: () => void;
}

/** How often to look for a new dispatch, which raises the revision but is not announced. */
const REVISION_POLL_MS = 1_000;

/**
 * How soon to look again, once, for an end that was announced before anybody listened, or that a replica did not know yet. The leader is
 * asked then.
 */
const RECHECK_MS = 1_000;

/** How often to look for a terminal state whose announcement was lost. */
const END_POLL_MS = 15_000;

/** Waits for a status. Throws MeshError TASK_NOT_FOUND, BROKER_UNAVAILABLE. */
export async function awaitStatus(parts: StatusWaitParts, question: StatusQuestion): Promise<StatusAnswer> {
  const { logs, waits, clock, notify } = parts;
  const { tenant, taskId, scope, afterRevision, waitMs } = question;
  const endMs = clock.monotonicMs() + waitMs;
  // The first look is what makes sure that it listens.
  using watch = logs.hub.watch(tenant, taskId, notify);
  // The end is kept to the millisecond; a call has an end, so it may have a timer.
  using timer = new DisposableStack();
  timer.adopt(setTimeout(notify, waitMs), clearTimeout);
  let heard: Heard = { kind: "something", sequence: 0 };
  for (;;) {
    const asked = heard.kind === "nothing" && afterRevision === undefined ? "leader" : "replica";
    const { sequence } = heard;
    const record = await readVisible(taskId, scope, () => look(logs.taskLog, question, asked, sequence));
    const answer = answerOf(record);
    const { status } = answer;
    const leftMs = endMs - clock.monotonicMs();
    if (leftMs <= 0 || isNews(status, afterRevision)) return answer;
    const known = asked === "leader" && status.revision >= heard.sequence;
    const pollMs = afterRevision === undefined ? (known ? END_POLL_MS : RECHECK_MS) : REVISION_POLL_MS;
    await waits.sleep(Math.min(pollMs, leftMs));
    heard = hear(watch, heard.sequence);
  }
}

/** What a record of the log says to whoever asks how far the task is. */
export function answerOf(record: TaskRecord): StatusAnswer {
  return { status: statusOf(record, record.event), result: record.event?.message.result };
}

/** What was announced since the last look. The log says what happened; the messages are only a reason to look, and how far. */
interface Heard {
  readonly kind: "something" | "nothing";
  /** The sequence of the newest event that was ever announced, 0 for none. */
  readonly sequence: number;
}

function hear(watch: LiveWatch, before: number): Heard {
  let kind: Heard["kind"] = "nothing";
  let sequence = before;
  for (;;) {
    const taken = watch.take();
    if (taken.kind === "nothing") return { kind, sequence };
    // What was missed may be anything: whoever knows must say it.
    if (taken.kind === "missed") return { ...hear(watch, sequence), kind: "nothing" };
    const { stored } = taken.message;
    kind = "something";
    if (parseOutputSubject(stored.subject) === undefined) sequence = Math.max(sequence, stored.sequence);
  }
}

async function look(
  taskLog: StatusWaitParts["logs"]["taskLog"],
  { tenant, taskId }: StatusQuestion,
  asked: "leader" | "replica",
  reached: number,
): Promise<TaskRecord | undefined> {
  return asked === "leader" ? await taskLog.readCurrent(tenant, taskId) : await taskLog.read(tenant, taskId, reached);
}

function isNews(status: TaskStatus, afterRevision: bigint | undefined): boolean {
  if (afterRevision !== undefined) return status.revision > afterRevision;
  const state = stateFromWire(status.state);
  return state !== undefined && isTerminal(state);
}
