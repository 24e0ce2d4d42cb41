// How much a history gave the checker to check: without this, no violations may only mean that nothing happened.
import type { HistoryEntry } from "../history.ts";
import { isAccepted } from "./accepted-tasks.ts";
import type { Evidence } from "./evidence.ts";
import { acceptedRun, givenBack } from "./executions.ts";
import { endOf } from "./terminal-states.ts";
import { orderResults } from "./result-order.ts";

/** What was checked, counted. */
export interface Counts {
  /** Tasks that stand in the log. */
  tasks: number;
  /** Tasks whose submission was answered with yes. */
  accepted: number;
  /** Submissions that found their task there already. */
  repeatedSubmissions: number;
  /** Tasks whose every submission ended without an answer, and which stand in the log; and those which do not. */
  ambiguousFound: number;
  ambiguousNotFound: number;
  refused: number;
  redriven: number;
  completed: number;
  failed: number;
  canceled: number;
  timedOut: number;
  /** Answers to clients. */
  answers: number;
  executions: number;
  /** Executions that were cut off. */
  executionsLost: number;
  /** Executions that ended as completed and had no effect, because their attempt was fenced. */
  executionsFenced: number;
  /** Attempts after the first of their task. */
  attemptsRetried: number;
  /** Attempts that were given back and not spent. */
  attemptsGivenBack: number;
  readers: number;
  /** Connections by which a reader went on. */
  resumptions: number;
  /** States and chunks that readers got. */
  messagesRead: number;
  /** Outputs that stand in the log and do not count. */
  outputsDropped: number;
  faultsInjected: number;
}

/** Nothing yet. */
export function noCounts(): Counts {
  return {
    tasks: 0,
    accepted: 0,
    repeatedSubmissions: 0,
    ambiguousFound: 0,
    ambiguousNotFound: 0,
    refused: 0,
    redriven: 0,
    completed: 0,
    failed: 0,
    canceled: 0,
    timedOut: 0,
    answers: 0,
    executions: 0,
    executionsLost: 0,
    executionsFenced: 0,
    attemptsRetried: 0,
    attemptsGivenBack: 0,
    readers: 0,
    resumptions: 0,
    messagesRead: 0,
    outputsDropped: 0,
    faultsInjected: 0,
  };
}

/** Counts what is known of every task, and the faults. */
export function count(history: readonly HistoryEntry[], tasks: Iterable<Evidence>): Counts {
  const counts = noCounts();
  for (const entry of history) if (entry.what === "fault" && entry.phase === "injected") counts.faultsInjected += 1;
  for (const evidence of tasks) {
    countSubmissions(counts, evidence);
    countReaders(counts, evidence);
    countLog(counts, evidence);
    counts.answers += evidence.told.length;
    counts.executions += evidence.runs.length;
    counts.executionsLost += evidence.runs.filter(({ end }) => end === undefined).length;
  }
  return counts;
}

/** The sum of what was counted in several runs. */
export function addCounts(a: Counts, b: Counts): Counts {
  const sum = noCounts();
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of an object literal of this very type
  for (const key of Object.keys(sum) as (keyof Counts)[]) sum[key] = a[key] + b[key];
  return sum;
}

function countSubmissions(counts: Counts, { submissions, logged }: Evidence): void {
  if (submissions.some(isAccepted)) counts.accepted += 1;
  else if (submissions.some(({ answer }) => answer === "unknown")) {
    if (logged === undefined) counts.ambiguousNotFound += 1;
    else counts.ambiguousFound += 1;
  } else if (submissions.length > 0) counts.refused += 1;
  counts.repeatedSubmissions += submissions.filter(({ answer }) => answer === "existing").length;
}

function countReaders(counts: Counts, { readers }: Evidence): void {
  counts.readers += readers.size;
  for (const reads of readers.values()) {
    counts.resumptions += new Set(reads.map(({ connection }) => connection)).size - 1;
    counts.messagesRead += reads.filter(({ kind }) => kind === "state" || kind === "chunk").length;
  }
}

function countLog(counts: Counts, evidence: Evidence): void {
  const { logged, runs } = evidence;
  if (logged === undefined) return;
  counts.tasks += 1;
  if (logged.redriveOf !== "") counts.redriven += 1;
  const end = endOf(logged);
  if (end?.state === "completed") counts.completed += 1;
  if (end?.state === "failed") counts.failed += 1;
  if (end?.state === "canceled") counts.canceled += 1;
  if (end?.state === "timed_out") counts.timedOut += 1;
  const attempts = Math.max(0, ...logged.events.map(({ attempt }) => attempt));
  counts.attemptsRetried += Math.max(0, attempts - 1);
  for (let attempt = 1; attempt <= attempts; attempt += 1) counts.attemptsGivenBack += givenBack(logged, attempt);
  if (logged.outputs.length > 0) counts.outputsDropped += orderResults(logged).dropped.length;
  const accepted = acceptedRun(evidence, logged);
  // An attempt of which the result was not taken can have been the one that was, where the result does not say whose it is.
  const unnamed = end?.state === "completed" && accepted === undefined;
  if (!unnamed)
    counts.executionsFenced += runs.filter((run) => run !== accepted && run.end?.result === "completed").length;
}
