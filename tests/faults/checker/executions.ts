// Invariant 3, as far as the handlers' own records show it: no two executions share an attempt, each was allowed to start, and the result
// that was taken is that of an execution which really ended so before anybody was told.
import type { LoggedEvent, LoggedTask } from "../final-log.ts";
import type { Evidence, Run } from "./evidence.ts";
import { endOf } from "./terminal-states.ts";
import { orderResults, type ResultOrder } from "./result-order.ts";
import type { Exhibit, Finding } from "./violation.ts";

/** Judges the executions of one task by invariant 3. */
export function checkExecutions(evidence: Evidence): Finding[] {
  const { logged } = evidence;
  if (logged === undefined) return [];
  return [...shared(evidence, logged), ...unallowed(evidence, logged), ...wrongResult(evidence, logged)];
}

/** How often an attempt was given back without being spent: it may run again under its number. */
export function givenBack({ events }: LoggedTask, attempt: number): number {
  const back = events.filter(({ state, endedAttempt, nextAttempt }) => {
    const unspent = state === "submitted" || state === "backing_off";
    return unspent && endedAttempt === attempt && nextAttempt === attempt;
  });
  return back.length;
}

/** The execution whose result was taken; undefined if none was, or if it cannot be told. */
export function acceptedRun({ runs }: Evidence, logged: LoggedTask): Run | undefined {
  const end = endOf(logged);
  if (end?.state !== "completed") return undefined;
  if (end.execution !== undefined) return runs.find(({ execution }) => execution === end.execution);
  const own = runs.filter((run) => isOf(run, end));
  return own.length === 1 ? own[0] : undefined;
}

function shared({ taskId, runs }: Evidence, logged: LoggedTask): Finding[] {
  const found: Finding[] = [];
  for (const [attempt, group] of Map.groupBy(runs, (run) => run.attempt)) {
    const allowed = 1 + givenBack(logged, attempt);
    if (group.length <= allowed) continue;
    const starts = group.map(({ execution, agentId }) => `${execution} on ${agentId}`).join(", ");
    const text = `attempt ${attempt} of ${taskId} was executed ${group.length} times, at most ${allowed} may be: ${starts}`;
    found.push(finding("attempt_shared", text, ...group.map(({ start }) => start)));
  }
  return found;
}

function unallowed({ taskId, runs }: Evidence, { dispatches, events }: LoggedTask): Finding[] {
  return runs.flatMap((run) => {
    const recorded = events.some((event) => event.state === "working" && isOf(run, event));
    const unseen = dispatches.some(({ attempt, beginRequired }) => attempt === run.attempt && !beginRequired);
    if (recorded || unseen) return [];
    const text = `${run.execution} executed attempt ${run.attempt} of ${taskId} on ${run.agentId}, which nobody had given to it`;
    return [finding("execution_not_allowed", text, run.start)];
  });
}

function wrongResult(evidence: Evidence, logged: LoggedTask): Finding[] {
  const { taskId, runs } = evidence;
  const end = endOf(logged);
  if (end?.state !== "completed") return [];
  const named = runs.find(({ execution }) => execution === end.execution);
  if (end.execution === undefined) {
    if (runs.some((run) => isOf(run, end) && run.end?.result === "completed")) return [];
    const text = `${taskId} completed by attempt ${end.attempt} on ${end.agentId}, which no handler executed to its end`;
    return [finding("result_without_execution", text, end)];
  }
  if (named === undefined) {
    const text = `${taskId} has the result of execution ${end.execution}, which no handler wrote down`;
    return [finding("result_without_execution", text, end)];
  }
  if (!isOf(named, end)) {
    const ran = `attempt ${named.attempt} on ${named.agentId}`;
    const text = `${taskId} has the result of execution ${named.execution}, which was ${ran}, as that of attempt ${end.attempt} on ${end.agentId}`;
    return [finding("result_of_another", text, end, named.start)];
  }
  if (named.end?.result !== "completed") {
    const text = `${taskId} has the result of execution ${named.execution}, which ended ${named.end?.result ?? "not at all"}`;
    return [finding("result_without_execution", text, end, named.end ?? named.start)];
  }
  const early = firstSight(evidence);
  if (early !== undefined && early.at < named.end.at) {
    const text = `${taskId} was said to be completed before execution ${named.execution} had ended`;
    return [finding("result_before_end", text, early, named.end)];
  }
  return foreignChunks(evidence.taskId, orderResults(logged), end, named);
}

/** Chunks of the accepted attempt that another execution streamed: one that was over by then. */
function foreignChunks(taskId: string, { endings }: ResultOrder, end: LoggedEvent, named: Run): Finding[] {
  const chunks = endings.get(end)?.chunks ?? [];
  const foreign = chunks.find(({ execution }) => execution !== undefined && execution !== named.execution);
  if (foreign === undefined) return [];
  const text = `chunk ${foreign.chunk} among the results of ${taskId} is of execution ${foreign.execution}, its result of ${named.execution}`;
  return [finding("foreign_chunk", text, end, named.start)];
}

function firstSight({ told, readers }: Evidence): Exhibit | undefined {
  const reads = [...readers.values()].flat();
  const seen = [...told, ...reads].filter(({ state }) => state === "completed");
  return seen.length === 0 ? undefined : seen.reduce((first, entry) => (entry.at < first.at ? entry : first));
}

function isOf(run: Run, { attempt, agentId }: Pick<LoggedEvent, "attempt" | "agentId">): boolean {
  return run.attempt === attempt && run.agentId === agentId;
}

function finding(rule: string, message: string, ...exhibits: readonly Exhibit[]): Finding {
  return { invariant: 3, rule, message, exhibits };
}
