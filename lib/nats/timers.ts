// Timers in the log: set as JetStream schedules, and handed to one coordinator when they are due.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { TimerKind, TimerSchema } from "../../gen/mycel/v1/task_log_pb.ts";
import type { TimerName } from "../core/task-timers.ts";
import { SCHEDULE, SCHEDULE_TARGET } from "../wire/headers.ts";
import { parseTimerSubject, timerFiredSubject, timerSubject, TIMERS_STREAM } from "../wire/subjects.ts";
import { timestampFromMs } from "../wire/time-codec.ts";
import type { DirectReader } from "./direct-reader.ts";
import type { StreamPublisher } from "./stream-publisher.ts";
import { brokerUnavailable } from "./broker-errors.ts";

const KINDS: Readonly<Record<TimerName, TimerKind>> = {
  dispatch: TimerKind.DISPATCH,
  schedule_to_start: TimerKind.SCHEDULE_TO_START,
  schedule_to_close: TimerKind.SCHEDULE_TO_CLOSE,
  start_to_close: TimerKind.START_TO_CLOSE,
};

const TIMER_NAMES: readonly TimerName[] = ["dispatch", "schedule_to_start", "schedule_to_close", "start_to_close"];

/** A timer that is due. */
export interface DueTimer {
  readonly tenant: string;
  readonly taskId: string;
  readonly name: TimerName;
  /** How often the task was not found. */
  readonly misses: number;
}

/** Sets and receives timers. */
export class Timers {
  readonly #publisher: StreamPublisher;

  constructor(publisher: StreamPublisher) {
    this.#publisher = publisher;
  }

  /** Sets a timer, replacing the task's earlier one of the same name. Throws BROKER_UNAVAILABLE. */
  async set(
    task: { readonly tenant: string; readonly taskId: string },
    name: TimerName,
    atMs: number,
    misses = 0,
  ): Promise<void> {
    const timer = create(TimerSchema, {
      taskId: task.taskId,
      kind: KINDS[name],
      dueTime: timestampFromMs(atMs),
      misses,
    });
    const outcome = await this.#publisher.publish({
      subject: timerSubject(task.tenant, task.taskId, name),
      body: toBinary(TimerSchema, timer),
      headers: {
        [SCHEDULE]: `@at ${new Date(atMs).toISOString()}`,
        [SCHEDULE_TARGET]: timerFiredSubject(task.tenant, task.taskId, name),
      },
    });
    if (outcome.kind !== "stored") throw brokerUnavailable(outcome.kind === "unknown" ? outcome.cause : outcome.kind);
  }
}

/**
 * When a task's timer fired, by the broker's clock, in milliseconds since 1970, if nobody has handled it yet; undefined if none waits.
 * Throws BROKER_UNAVAILABLE.
 */
export async function firedMs(
  reader: Pick<DirectReader, "read">,
  task: { readonly tenant: string; readonly taskId: string },
  name: TimerName,
): Promise<number | undefined> {
  const query = { last_by_subj: timerFiredSubject(task.tenant, task.taskId, name) };
  const [fired] = await reader.read(TIMERS_STREAM, query);
  return fired?.storeMs;
}

/** Reads a timer that has fired; undefined if it is none. All that matters stands in the subject: a body that is none has missed nothing. */
export function dueTimer(subject: string, body: Uint8Array): DueTimer | undefined {
  const parsed = parseTimerSubject(subject);
  const name = TIMER_NAMES.find((known) => known === parsed?.name);
  if (parsed === undefined || name === undefined) return undefined;
  return { tenant: parsed.tenant, taskId: parsed.taskId, name, misses: missesIn(body) };
}

function missesIn(body: Uint8Array): number {
  try {
    return Math.max(0, fromBinary(TimerSchema, body).misses);
  } catch {
    return 0;
  }
}
