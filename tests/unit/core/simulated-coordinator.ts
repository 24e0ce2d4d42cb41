// What coordinators do with reports and timers, step by step as the services do it: between any two steps others may act, or the
// coordinator may die.
import { type BeginCommand, decideBegin } from "../../../lib/core/begin.ts";
import type { EventDraft } from "../../../lib/core/event.ts";
import {
  attemptLimitMs,
  decideAttemptLimit,
  decideDeadline,
  decideDispatch,
  type TimerDecision,
} from "../../../lib/core/expire.ts";
import { completion, decideCancel, decideSettle, type SettleOutcome } from "../../../lib/core/settle.ts";
import { fenceOf, type TaskView } from "../../../lib/core/task.ts";
import { isTerminal } from "../../../lib/core/task-state.ts";
import type { SimulatedLog } from "./simulated-log.ts";

/** The timers of a task. */
export type TimerName = "dispatch" | "schedule_to_start" | "schedule_to_close" | "start_to_close";

/** What an agent says of a delivery. */
export interface SentReport {
  readonly agentId: string;
  readonly sequence: number;
  readonly deliveries: number;
  readonly attempt: number;
  readonly fence: number;
  readonly startMs: number | undefined;
  readonly kind:
    | SettleOutcome
    | { readonly kind: "begin"; readonly redelivery: boolean }
    | { readonly kind: "complete" };
}

/** What an agent hears. */
export type Answer =
  | { readonly kind: "accepted"; readonly fence: number; readonly attempt: number }
  | { readonly kind: "dropped" | "refused" | "unavailable" };

/** What coordinators act upon. */
export interface Surroundings {
  readonly log: SimulatedLog;
  readonly timers: Map<TimerName, number>;
  readonly now: () => number;
  readonly random: () => number;
  /** Tells an agent to stop; it may not hear it. */
  readonly signal: (agentId: string, attempt: number) => void;
  /** A snooze or hand-back was stored: its execution does not count. */
  readonly onForgiven: (report: SentReport) => void;
  readonly newOperationId: () => string;
}

type Steps<T> = Generator<undefined, T>;

const MAX_CONFLICTS = 5;
const REFUSED: Answer = { kind: "refused" };

/** Answers one report. */
export function* answerReport(at: Surroundings, report: SentReport): Steps<Answer> {
  if (report.kind.kind === "begin") return yield* answerBegin(at, report, report.kind.redelivery);
  if (report.kind.kind === "complete") return yield* answerComplete(at, report);
  return yield* answerSettle(at, report, report.kind);
}

function* answerBegin(at: Surroundings, report: SentReport, redelivery: boolean): Steps<Answer> {
  const command: BeginCommand = {
    agentId: report.agentId,
    dispatchSequence: report.sequence,
    redelivery: redelivery || report.deliveries > 1,
    deliveries: report.deliveries,
    fence: report.fence,
    attempt: report.attempt,
    startMs: report.startMs,
    operationId: operationId(report),
  };
  for (let tries = 0; tries < MAX_CONFLICTS; tries += 1) {
    const view = at.log.read();
    yield;
    const decision = decideBegin(view, command, at.now());
    if (decision.kind === "lease_lost") return REFUSED;
    if (decision.kind === "started") {
      at.timers.set("start_to_close", attemptLimitMs(view, view.last?.attemptStartMs ?? at.now()));
      return { kind: "accepted", fence: decision.fence, attempt: decision.attempt };
    }
    if (decision.kind === "drop") {
      const stands =
        decision.event === undefined || (yield* move(at, view, decision.event, command.operationId)) !== undefined;
      if (!stands) continue;
      if (decision.reason === "STALE_DISPATCH") yield* repeatFollowUp(at, view);
      at.log.items.delete(report.sequence);
      return { kind: "dropped" };
    }
    const fence = yield* move(at, view, decision.event, command.operationId);
    if (fence === undefined) continue;
    at.timers.set("start_to_close", attemptLimitMs(view, decision.event.attemptStartMs ?? at.now()));
    return { kind: "accepted", fence, attempt: decision.event.attempt };
  }
  return { kind: "unavailable" };
}

function* answerComplete(at: Surroundings, report: SentReport): Steps<Answer> {
  const event = completion({ ...report, dispatchSequence: report.sequence, outputSequence: 0 });
  yield;
  const fence = at.log.append(event, operationId(report), report.fence);
  if (fence === undefined) return REFUSED;
  yield;
  at.log.items.delete(report.sequence);
  return { kind: "accepted", fence, attempt: report.attempt };
}

function* answerSettle(at: Surroundings, report: SentReport, outcome: SettleOutcome): Steps<Answer> {
  const view = at.log.read();
  yield;
  const command = {
    agentId: report.agentId,
    dispatchSequence: report.sequence,
    attempt: report.attempt,
    fence: report.fence,
    deliveries: report.deliveries,
    startMs: report.startMs,
    outputSequence: 0,
    operationId: operationId(report),
    outcome,
  };
  const decision = decideSettle(view, command, at.now(), at.random());
  if (decision.kind === "lease_lost") return REFUSED;
  let fence: number | undefined;
  if (decision.kind === "let_go") fence = decision.fence;
  else if (decision.kind === "written") {
    fence = decision.fence;
    yield* repeatFollowUp(at, view);
  } else {
    const forgiven = outcome.kind === "snooze" || outcome.kind === "hand_back";
    fence = yield* move(at, view, decision.event, command.operationId, () => forgiven && at.onForgiven(report));
    if (fence === undefined) return REFUSED;
  }
  const item = at.log.items.get(report.sequence);
  // A negative acknowledgement frees the item even if it was delivered again meanwhile: the broker looks at the message only.
  if (outcome.kind !== "hand_back") at.log.items.delete(report.sequence);
  else if (item !== undefined && decision.kind !== "written") item.leased = false;
  return { kind: "accepted", fence, attempt: report.attempt };
}

/** Reacts to a timer that has fired. */
export function* reactToTimer(at: Surroundings, name: TimerName): Steps<undefined> {
  for (;;) {
    const view = at.log.read();
    yield;
    const decision = decideTimer(name, view, at.now(), at.random());
    if (decision.kind === "rearm") at.timers.set(name, decision.atMs);
    if (decision.kind === "dispatch") at.log.dispatch(decision.attempt, decision.fence, view.dispatch.sequence);
    if (decision.kind !== "write") return undefined;
    if ((yield* move(at, view, decision.event, at.newOperationId())) !== undefined) return undefined;
  }
}

/** Cancels the task. */
export function* cancelTask(at: Surroundings): Steps<undefined> {
  for (;;) {
    const view = at.log.read();
    yield;
    const decision = decideCancel(view, "asked to");
    if (decision.kind !== "write") return undefined;
    if ((yield* move(at, view, decision.event, at.newOperationId())) !== undefined) return undefined;
  }
}

/** Sets the timer of a delayed submission. */
export function* armDelayed(at: Surroundings): Steps<undefined> {
  yield;
  at.timers.set("dispatch", at.log.read().startMs ?? at.now());
  return undefined;
}

function* move(
  at: Surroundings,
  view: TaskView,
  event: EventDraft,
  operation: string,
  onStored?: () => void,
): Steps<number | undefined> {
  const sequence = at.log.append(event, operation, fenceOf(view));
  if (sequence === undefined) return undefined;
  onStored?.();
  yield;
  if (event.state === "backing_off" && event.nextAttemptMs !== undefined) {
    at.timers.set("dispatch", event.nextAttemptMs);
    yield;
  }
  if (event.ended !== undefined && event.ended.outputSequence === undefined) {
    at.signal(event.ended.agentId, event.ended.attempt);
  }
  if (isTerminal(event.state) && event.ended === undefined) at.log.withdraw(view.dispatch);
  yield;
  return sequence;
}

function* repeatFollowUp(at: Surroundings, { last, dispatch }: TaskView): Steps<undefined> {
  yield;
  if (last?.state === "backing_off" && last.nextAttemptMs !== undefined && last.sequence > dispatch.sequence) {
    at.timers.set("dispatch", last.nextAttemptMs);
  }
  return undefined;
}

function decideTimer(name: TimerName, view: TaskView, nowMs: number, random: number): TimerDecision {
  if (name === "dispatch") return decideDispatch(view, nowMs);
  return name === "start_to_close" ? decideAttemptLimit(view, nowMs, random) : decideDeadline(view, nowMs);
}

function operationId({ agentId, sequence, deliveries, attempt, kind }: SentReport): string {
  return `${agentId}/${sequence}/${deliveries}/${kind.kind === "begin" ? 0 : attempt}/${kind.kind}`;
}
