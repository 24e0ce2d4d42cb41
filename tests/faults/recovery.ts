// How long it takes until a fault is overcome, from the history: the attempts that it interrupted, and when their tasks went on.
import type { Execution, FaultMark, HistoryEntry } from "./history.ts";

/** A fault and what followed from it. */
export interface Overcome {
  readonly detail: string;
  /** Until calls of new clients' tasks went through again, in milliseconds; undefined if they did not. */
  readonly serviceMs: number | undefined;
  /** Until the last of the interrupted attempts was followed by another, in milliseconds; undefined if none was interrupted. */
  readonly resumeMs: number | undefined;
}

/** Reads off each fault of a run. */
export function overcome(history: readonly HistoryEntry[]): Overcome[] {
  const marks = history.filter((entry): entry is FaultMark => entry.what === "fault");
  const tasks = executionsByTask(history);
  return marks.flatMap((mark, i) => {
    if (mark.phase !== "injected") return [];
    const rest = marks.slice(i + 1);
    const end = rest.findIndex(({ phase }) => phase === "injected");
    const own = end === -1 ? rest : rest.slice(0, end);
    const from = own.find(({ phase }) => phase === "healed") ?? mark;
    const recovered = own.find(({ phase }) => phase === "recovered");
    const until = rest[end]?.at ?? Infinity;
    return [
      {
        detail: mark.detail ?? "",
        serviceMs: recovered === undefined ? undefined : recovered.at - from.at,
        resumeMs: lastResume(tasks, mark.at, until),
      },
    ];
  });
}

interface Run {
  readonly start: Execution;
  end: Execution | undefined;
}

function executionsByTask(history: readonly HistoryEntry[]): ReadonlyMap<string, readonly Run[]> {
  const tasks = new Map<string, Run[]>();
  const runs = new Map<string, Run>();
  for (const entry of history) {
    if (entry.what === "start") {
      const run: Run = { start: entry, end: undefined };
      runs.set(entry.execution, run);
      const others = tasks.get(entry.taskId);
      if (others === undefined) tasks.set(entry.taskId, [run]);
      else others.push(run);
    } else if (entry.what === "end") {
      const run = runs.get(entry.execution);
      if (run !== undefined) run.end = entry;
    }
  }
  return tasks;
}

// An attempt was interrupted if the next one of its task started before it ended, or although it never did.
function lastResume(tasks: ReadonlyMap<string, readonly Run[]>, from: number, until: number): number | undefined {
  let last: number | undefined;
  for (const runs of tasks.values()) {
    for (const [i, { start, end }] of runs.entries()) {
      const next = runs[i + 1]?.start;
      if (next === undefined || start.at > from || next.at <= from || next.at >= until) continue;
      if (end !== undefined && end.at < next.at) continue;
      last = Math.max(last ?? 0, next.at - from);
    }
  }
  return last;
}
