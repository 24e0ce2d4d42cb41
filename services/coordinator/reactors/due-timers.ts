// What happens when a timer is due: the task is read, and the rules say what is true now. A timer itself decides nothing.

import type { NatsConnection } from "@nats-io/nats-core";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { Clock } from "../../../lib/core/clock.ts";
import { decideAttemptLimit, decideDeadline, decideDispatch, type TimerDecision } from "../../../lib/core/expire.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { isUnreadable } from "../../../lib/core/mesh-error.ts";
import { stateOf, type TaskView } from "../../../lib/core/task.ts";
import { isTerminal } from "../../../lib/core/task-state.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import { type DueTimer, dueTimer, type Timers } from "../../../lib/nats/timers.ts";
import { ensureTimersConsumer } from "../../../lib/nats/topology.ts";
import { type FeedMessage, type FeedVerdict, WorkFeed } from "../../../lib/nats/work-feed.ts";
import { TIMERS_CONSUMER, TIMERS_STREAM } from "../../../lib/wire/subjects.ts";
import { viewOf } from "../../../lib/wire/task-codec.ts";
import { mayBePurged } from "../tasks/expiry.ts";
import type { Lifecycle } from "../tasks/lifecycle.ts";

/** What the reactor needs. */
export interface DueTimersParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly log: TaskLog;
  readonly timers: Timers;
  readonly lifecycle: Lifecycle;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

/** How many due timers one coordinator handles at once. */
const MAX_IN_HAND = 128;

/**
 * Deadlines are armed before the submission is written, so one may be due before its task stands. It is looked for again, this often
 * and this far apart: longer than any publish can be under way.
 */
const MAX_MISSES = 3;
const MISS_DELAY_MS = 10_000;

/** Handles due timers until it is disposed. */
export function openDueTimers(parts: DueTimersParts): AsyncDisposable {
  return new WorkFeed({
    connection: parts.connection,
    stream: TIMERS_STREAM,
    consumer: TIMERS_CONSUMER,
    ensure: () => ensureTimersConsumer(parts.manager),
    maxInHand: MAX_IN_HAND,
    handle: (message) => handleDueTimer(parts, message),
    onError: (err) => parts.logger.warn({ err }, "due timer not handled"),
  });
}

/** Does what a due timer asks for, and removes it. What it throws means: deliver it again. */
export async function handleDueTimer(
  parts: Omit<DueTimersParts, "connection">,
  message: FeedMessage,
): Promise<FeedVerdict> {
  const timer = dueTimer(message.subject, message.data);
  try {
    if (timer !== undefined) await react(parts, timer);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    // It would be no more readable the next time, nor would anything follow from it.
    parts.logger.warn({ task_id: timer?.taskId, timer: timer?.name }, "timer of an unreadable task dropped");
  }
  // The stream keeps what it stores; what is done with must not pile up in it.
  await parts.manager.streams.deleteMessage(TIMERS_STREAM, message.seq, false).catch(() => undefined);
  return { kind: "ack" };
}

/** `latest` reads from the leader; else a replica may answer, which may lag behind. */
async function react(parts: Omit<DueTimersParts, "connection">, timer: DueTimer, latest = false): Promise<void> {
  const { log, timers, lifecycle, clock } = parts;
  const { tenant, taskId } = timer;
  const record = latest ? await log.readLatest(tenant, taskId) : await log.read(tenant, taskId);
  if (record === undefined) {
    if (timer.misses >= MAX_MISSES || timer.name === "start_to_close") return;
    await timers.set(timer, timer.name, clock.now() + MISS_DELAY_MS, timer.misses + 1);
    return;
  }
  const view = viewOf(record);
  const decision = decide(timer, view, clock.now(), parts.random());
  switch (decision.kind) {
    case "nothing":
      // What is done with does not come back, so the leader has to agree; but what has ended stays so, until another may have its name.
      if (!latest && (!isTerminal(stateOf(view)) || mayBePurged(record, clock.now()))) await react(parts, timer, true);
      return;
    case "rearm":
      await timers.set(timer, timer.name, decision.atMs);
      return;
    case "dispatch": {
      const outcome = await lifecycle.dispatch(record, decision.attempt, decision.fence);
      if (outcome.kind === "conflict") await react(parts, timer, true);
      return;
    }
    case "write": {
      const outcome = await lifecycle.move(record, decision.event, crypto.randomUUID());
      // Somebody moved the task meanwhile; what is true now may still be that it is too late.
      if (outcome.kind === "conflict") await react(parts, timer, true);
    }
  }
}

function decide(timer: DueTimer, view: TaskView, nowMs: number, random: number): TimerDecision {
  switch (timer.name) {
    case "dispatch":
      return decideDispatch(view, nowMs);
    case "start_to_close":
      return decideAttemptLimit(view, nowMs, random);
    case "schedule_to_start":
    case "schedule_to_close":
      return decideDeadline(view, nowMs);
  }
}
