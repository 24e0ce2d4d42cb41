// What a broken promise on trial is: how to tamper with a run that broke none, and what the checker has to say of it.
import type { LoggedEvent } from "../../final-log.ts";
import type { HistoryEntry } from "../../history.ts";
import type { Invariant } from "../violation.ts";
import type { Mutable, SampleLog, SampleRun } from "./sample-run.ts";
import type { STORIES } from "./sample-stories.ts";

/** The rules that a plant breaks, the one that it is about first. */
type Rules = readonly [Invariant, ...string[]];

/** The entries of one kind. */
export type EntryOf<What extends HistoryEntry["what"], Entry = HistoryEntry> = Entry extends {
  readonly what: infer Kind;
}
  ? What extends Kind
    ? Entry
    : never
  : never;

/** What a plant works on. */
export interface Ground {
  readonly run: SampleRun;
  readonly taskId: string;
  /** The log of the task. */
  readonly log: SampleLog;
  /** The entries about the task of one kind. */
  readonly entries: <What extends HistoryEntry["what"]>(what: What) => Mutable<EntryOf<What>>[];
  /** The event at a place of the chain, counted from the end if negative. */
  readonly event: (at: number) => Mutable<LoggedEvent>;
  /** Removes entries from the history. */
  readonly drop: (...entries: readonly HistoryEntry[]) => void;
  /** Adds an entry after all others. */
  readonly add: <Entry extends HistoryEntry>(entry: Entry, change?: Partial<Entry>) => void;
  /** What a reader got, without its snapshots. */
  readonly messages: (reader: string) => Mutable<EntryOf<"read">>[];
}

/** A broken promise. */
export interface Plant {
  readonly name: string;
  readonly story: keyof typeof STORIES;
  readonly breaks: Rules;
  readonly tamper: (ground: Ground) => void;
}

/** Opens one task of a run to tampering. */
export function groundOf(run: SampleRun, taskId: string): Ground {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is looked for is what is found
  const entries = <What extends HistoryEntry["what"]>(what: What): Mutable<EntryOf<What>>[] =>
    run.history.filter(
      (entry) => entry.what === what && "taskId" in entry && entry.taskId === taskId,
    ) as unknown as Mutable<EntryOf<What>>[];
  const log = run.log.tasks.get(taskId);
  if (log === undefined) throw new Error(`nothing stands of ${taskId}`);
  return {
    run,
    taskId,
    log,
    entries,
    event: (at) => log.events.at(at)!,
    drop: (...gone) => {
      run.history = run.history.filter((entry) => !gone.includes(entry));
    },
    add: (entry, change = {}) => {
      run.history.push({ ...entry, at: run.history.at(-1)!.at + 1, ...change });
    },
    messages: (reader) => entries("read").filter((read) => read.reader === reader && read.kind !== "snapshot"),
  };
}
