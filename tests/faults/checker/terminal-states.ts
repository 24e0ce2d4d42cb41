// Invariant 2: every task reaches one terminal state, its last; every answer that anybody got fits the log; and nobody is told an older
// state after somebody was told a newer one.
import type { LoggedEvent, LoggedTask } from "../final-log.ts";
import type { Read, Told } from "../history.ts";
import { UNKNOWN_TASK } from "./accepted-tasks.ts";
import type { Evidence } from "./evidence.ts";
import { endsTask, inOrder, mayFollow, type Standing, standingsOf, DELAYED } from "./states.ts";
import type { Exhibit, Finding } from "./violation.ts";

/** Judges one task by invariant 2. */
export function checkTerminalState(evidence: Evidence): Finding[] {
  const { logged } = evidence;
  // What is not in the log at all is invariant 1's.
  if (logged === undefined) return [];
  const early = evidence.told.filter(
    ({ call, state }) => call === "outcome" && !endsTask(state) && state !== UNKNOWN_TASK,
  );
  const answers = answersOf(evidence);
  const standings = standingsOf(logged);
  return [
    ...early.map((told) =>
      finding("outcome_not_terminal", `${words(told)} was given as the outcome of ${logged.taskId}`, told),
    ),
    ...changes(logged),
    ...contradictions(evidence.taskId, answers, standings, logged.events),
    ...backwards(evidence.taskId, answers, standings),
  ];
}

/** The event that ended a task; undefined if none did. */
export function endOf({ events }: LoggedTask): LoggedEvent | undefined {
  return events.find(({ state }) => endsTask(state));
}

function changes({ taskId, dispatches, events }: LoggedTask): Finding[] {
  const found: Finding[] = [];
  let state: string | undefined;
  let end: LoggedEvent | undefined;
  for (const message of inOrder(dispatches, events)) {
    if (end !== undefined) {
      // A work item that was on its way when its task ended counts for nothing.
      if (message.kind === "dispatch") continue;
      const { logged } = message;
      const twice = endsTask(logged.state);
      const text = `${taskId} ended as ${end.state} at ${end.sequence}, and then became ${logged.state} at ${logged.sequence}`;
      found.push(finding(twice ? "ended_twice" : "moved_after_end", text, logged, end));
      continue;
    }
    const next = stateOf(message);
    if (state !== undefined && next !== undefined && !mayFollow(state, next)) {
      const text = `${taskId} went from ${state} to ${next} at ${message.logged.sequence}`;
      found.push(finding("illegal_change", text, message.logged));
    }
    if (message.kind === "event" && endsTask(message.logged.state)) end = message.logged;
    state = next ?? state;
  }
  return found;
}

/** The state that a message brings about; undefined for a copy of a work item that was withdrawn, which was in a queue that is forgotten. */
function stateOf(message: ReturnType<typeof inOrder>[number]): string | undefined {
  if (message.kind === "event") return message.logged.state;
  if (message.logged.queue === DELAYED) return "scheduled";
  return message.logged.queue.startsWith("_") ? undefined : "submitted";
}

/** What somebody was told of a task. */
interface Answer {
  readonly source: Exhibit;
  /** Before this moment it was not asked; undefined if the answer may be as old as it likes. */
  readonly startedAt: number | undefined;
  readonly at: number;
  readonly to: string;
  readonly state: string;
  readonly attempt: number;
  readonly agentId: string;
  readonly execution: string | undefined;
}

function answersOf({ told, readers }: Evidence): Answer[] {
  const known = told.filter(({ state }) => state !== UNKNOWN_TASK);
  return [...known.map(answerOfCall), ...[...readers.values()].flatMap(answersOfReader)];
}

function answerOfCall(told: Told): Answer {
  const { at, call, state, attempt, agentId, execution } = told;
  // A watch tells the past, and its snapshots are judged as its reader's.
  const startedAt = call === "watch" ? undefined : told.startedAt;
  return { source: told, startedAt, at, to: `a client's ${call}`, state, attempt, agentId, execution };
}

function answersOfReader(reads: readonly Read[]): Answer[] {
  return reads.flatMap((read, i) => {
    const { at, reader, state, attempt = 0, agentId = "" } = read;
    if (state === undefined) return [];
    // A snapshot is of the present; it was asked for after whatever the reader got on its last connection.
    const startedAt = read.kind === "snapshot" ? reads[i - 1]?.at : undefined;
    return [{ source: read, startedAt, at, to: `reader ${reader}`, state, attempt, agentId, execution: undefined }];
  });
}

function contradictions(
  taskId: string,
  answers: readonly Answer[],
  standings: readonly Standing[],
  events: readonly LoggedEvent[],
): Finding[] {
  const end = events.find(({ state }) => endsTask(state));
  const found: Finding[] = [];
  for (const answer of answers) {
    const { to, state, attempt, agentId, execution, source } = answer;
    if (endsTask(state)) {
      const same = end !== undefined && fits(answer, { ...end, states: [end.state] });
      const sameResult = execution === undefined || end?.execution === undefined || execution === end.execution;
      if (same && sameResult) continue;
      const by = execution === undefined ? "" : ` by execution ${execution}`;
      const was =
        end === undefined
          ? "never ended"
          : `is ${words(end)}${end.execution === undefined ? "" : ` by execution ${end.execution}`}`;
      const text = `${to} was told that ${taskId} is ${words({ state, attempt, agentId })}${by}, but it ${was}`;
      found.push(finding("answer_differs", text, source, ...(end === undefined ? [] : [end])));
    } else if (!standings.some((standing) => fits(answer, standing))) {
      const text = `${to} was told that ${taskId} is ${words({ state, attempt, agentId })}, which it never was`;
      found.push(finding("answer_never_true", text, source));
    }
  }
  return found;
}

function backwards(taskId: string, answers: readonly Answer[], standings: readonly Standing[]): Finding[] {
  const placed = answers
    .map((answer) => ({ answer, ...placeOf(answer, standings) }))
    .filter(({ latest }) => latest >= 0);
  const given = placed.toSorted((a, b) => a.answer.at - b.answer.at);
  const asked = placed
    .flatMap((place) => (place.answer.startedAt === undefined ? [] : [{ ...place, startedAt: place.answer.startedAt }]))
    .sort((a, b) => a.startedAt - b.startedAt);
  const found: Finding[] = [];
  let newest: (typeof given)[number] | undefined;
  let next = 0;
  for (const later of asked) {
    for (; next < given.length; next += 1) {
      const earlier = given[next];
      if (earlier === undefined || earlier.answer.at >= later.startedAt) break;
      if (newest === undefined || earlier.earliest > newest.earliest) newest = earlier;
    }
    if (newest === undefined || later.latest >= newest.earliest) continue;
    const [before, after] = [newest.answer, later.answer];
    const rule = endsTask(before.state) ? "unended_after_end" : "stale_answer";
    const text = `${before.to} was told that ${taskId} is ${words(before)}; ${after.to}, asked later, was told ${words(after)}`;
    found.push(finding(rule, text, after.source, before.source));
  }
  return found;
}

/** Between which steps of its log a task was when an answer was true; -1 for never. */
function placeOf(
  answer: Answer,
  standings: readonly Standing[],
): { readonly earliest: number; readonly latest: number } {
  const earliest = standings.findIndex((standing) => fits(answer, standing));
  const latest = standings.findLastIndex((standing) => fits(answer, standing));
  return { earliest, latest };
}

function fits(answer: Answer, { states, attempt, agentId }: Omit<Standing, "sequence">): boolean {
  return states.includes(answer.state) && attempt === answer.attempt && agentId === answer.agentId;
}

function words({ state, attempt, agentId }: Pick<Answer, "state" | "attempt" | "agentId">): string {
  return attempt === 0 ? state : `${state} at attempt ${attempt} on ${agentId === "" ? "nobody" : agentId}`;
}

function finding(rule: string, message: string, ...exhibits: readonly Exhibit[]): Finding {
  return { invariant: 2, rule, message, exhibits };
}
