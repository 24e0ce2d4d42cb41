// Everything that is known of one task, from the history and from the log, side by side. Judges nothing.
import type { Execution, HistoryEntry, Read, Submission, Told } from "../history.ts";
import type { FinalLog, LoggedTask } from "../final-log.ts";

/** One execution by a handler, from its start to its end. */
export interface Run {
  readonly execution: string;
  readonly attempt: number;
  readonly agentId: string;
  readonly start: Execution;
  /** Undefined for an execution that was cut off. */
  readonly end: Execution | undefined;
}

/** Everything about one task. Lists are in the order of time. */
export interface Evidence {
  readonly taskId: string;
  readonly submissions: readonly Submission[];
  readonly told: readonly Told[];
  /** What each reader got. */
  readonly readers: ReadonlyMap<string, readonly Read[]>;
  readonly runs: readonly Run[];
  /** What stands in the log; undefined if nothing does. */
  readonly logged: LoggedTask | undefined;
}

interface Draft {
  readonly taskId: string;
  readonly submissions: Submission[];
  readonly told: Told[];
  readonly readers: Map<string, Read[]>;
  readonly starts: Map<string, Execution>;
  readonly ends: Map<string, Execution>;
}

/** Puts together what is known of each task. The history must be in the order of time. */
export function gather(history: readonly HistoryEntry[], log: FinalLog): Map<string, Evidence> {
  const drafts = new Map<string, Draft>();
  for (const entry of history) {
    switch (entry.what) {
      case "submit":
        draftOf(drafts, entry.taskId).submissions.push(entry);
        break;
      case "told":
        draftOf(drafts, entry.taskId).told.push(entry);
        break;
      case "read":
        listIn(draftOf(drafts, entry.taskId).readers, entry.reader).push(entry);
        break;
      case "start":
        draftOf(drafts, entry.taskId).starts.set(entry.execution, entry);
        break;
      case "end":
        draftOf(drafts, entry.taskId).ends.set(entry.execution, entry);
        break;
      case "fault":
        break;
    }
  }
  for (const taskId of log.tasks.keys()) draftOf(drafts, taskId);
  const all = new Map<string, Evidence>();
  for (const [taskId, { submissions, told, readers, starts, ends }] of drafts) {
    const runs = [...starts.values()].map((start) => runOf(start, ends.get(start.execution)));
    all.set(taskId, { taskId, submissions, told, readers, runs, logged: log.tasks.get(taskId) });
  }
  return all;
}

function draftOf(drafts: Map<string, Draft>, taskId: string): Draft {
  const known = drafts.get(taskId);
  if (known !== undefined) return known;
  const draft: Draft = {
    taskId,
    submissions: [],
    told: [],
    readers: new Map(),
    starts: new Map(),
    ends: new Map(),
  };
  drafts.set(taskId, draft);
  return draft;
}

function listIn<T>(lists: Map<string, T[]>, key: string): T[] {
  const known = lists.get(key);
  if (known !== undefined) return known;
  const list: T[] = [];
  lists.set(key, list);
  return list;
}

function runOf(start: Execution, end: Execution | undefined): Run {
  const { execution, attempt, agentId } = start;
  return { execution, attempt, agentId, start, end };
}
