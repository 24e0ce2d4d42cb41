// Which timers must stand for a task: whatever moves it on when nobody says anything. Decides nothing about the task itself.

import { attemptLimitMs } from "./expire.ts";
import { openDeadlines, stateOf, type TaskView } from "./task.ts";
import { isTerminal } from "./task-state.ts";

/** Why a task is to be looked at. */
export type TimerName = "dispatch" | "schedule_to_start" | "schedule_to_close" | "start_to_close";

/** A timer that must stand. */
export interface TaskTimer {
  readonly name: TimerName;
  /** When it is due, in milliseconds since 1970. */
  readonly atMs: number;
}

/** How late a timer may be before it counts as lost, in milliseconds. Far more than a broker that is busy takes to fire one. */
export const TIMER_GRACE_MS = 10_000;

/** What tells which timers a task needs. */
type TimedView = Omit<TaskView, "policy">;

/** The timers that must stand for a task in its state; none once it has ended. */
export function timersOf(view: TimedView): readonly TaskTimer[] {
  const state = stateOf(view);
  if (isTerminal(state)) return [];
  const { last, startMs, createMs } = view;
  const timers: TaskTimer[] = openDeadlines(view).map(({ kind, atMs }) => ({ name: kind, atMs }));
  if (state === "scheduled") timers.push({ name: "dispatch", atMs: startMs ?? createMs });
  if (state === "backing_off") timers.push({ name: "dispatch", atMs: last?.nextAttemptMs ?? createMs });
  if (state === "working" && last?.attemptStartMs !== undefined) {
    timers.push({ name: "start_to_close", atMs: attemptLimitMs(view, last.attemptStartMs) });
  }
  return timers;
}

/** When the first of a task's timers is due; undefined if it needs none. */
export function nextDueMs(view: TimedView): number | undefined {
  const times = timersOf(view).map(({ atMs }) => atMs);
  return times.length === 0 ? undefined : Math.min(...times);
}

/** The timers of a task that should have fired long ago. */
export function lostTimers(view: TimedView, nowMs: number): readonly TaskTimer[] {
  return timersOf(view).filter(({ atMs }) => atMs <= nowMs - TIMER_GRACE_MS);
}
