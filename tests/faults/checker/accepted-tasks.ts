// Invariant 1: a task whose submission was acknowledged is never lost; and nothing stands in the log that nobody asked for.
import type { LoggedTask } from "../final-log.ts";
import type { Submission } from "../history.ts";
import type { Evidence } from "./evidence.ts";
import { WITHDRAWN } from "./states.ts";
import type { Finding } from "./violation.ts";

/** What a client is told of a task that the mesh does not know. */
export const UNKNOWN_TASK = "unknown_task";

/** Whether the mesh said that it has the task. */
export function isAccepted({ answer }: Submission): boolean {
  return answer === "accepted" || answer === "existing";
}

/** Judges one task by invariant 1. */
export function checkAcceptance(evidence: Evidence): Finding[] {
  const { submissions, logged } = evidence;
  const accepted = submissions.find(isAccepted);
  const stands = logged !== undefined && logged.dispatches.length > 0;
  return [
    ...(accepted !== undefined && !stands ? [lost(evidence, accepted)] : []),
    ...(stands ? strangers(evidence, logged) : []),
    ...(logged === undefined ? [] : danglingReferences(logged)),
    ...forgotten(evidence, accepted),
  ];
}

function lost({ taskId, logged }: Evidence, accepted: Submission): Finding {
  const rest = logged === undefined ? "nothing of it" : "no dispatch of it, only what followed";
  return finding("accepted_lost", `${taskId} was ${accepted.answer}, but the log has ${rest}`, accepted);
}

function strangers({ taskId, submissions }: Evidence, logged: LoggedTask): Finding[] {
  const [first] = submissions;
  if (first === undefined) {
    // Nobody but the mesh knows the id of a redrive whose answer got lost.
    if (logged.redriveOf !== "") return [];
    return [finding("never_submitted", `${taskId} stands in the log, but nobody submitted it`, logged.dispatches[0])];
  }
  if (submissions.every(({ answer }) => answer === "refused")) {
    return [finding("refused_stored", `${taskId} was refused, but it stands in the log`, first, logged.dispatches[0])];
  }
  const asked = submissions.find(isAccepted) ?? first;
  const same = asked.type === logged.type && asked.maximumAttempts === logged.maximumAttempts;
  if (same) return [];
  const wanted = `type ${asked.type} with ${asked.maximumAttempts} attempts`;
  const stored = `type ${logged.type} with ${logged.maximumAttempts}`;
  return [finding("altered", `${taskId} was submitted as ${wanted}, but is stored as ${stored}`, asked)];
}

/** Whoever wrote the sequence of a message into another one had been told by the broker that it is stored. */
function danglingReferences({ taskId, dispatches, events, outputs }: LoggedTask): Finding[] {
  const withdrawn = dispatches.flatMap(({ queue, expected }) => (queue === WITHDRAWN ? [expected] : []));
  const items = new Set<number | undefined>([...dispatches.map(({ sequence }) => sequence), ...withdrawn]);
  const links = new Set([0, ...events.map(({ sequence }) => sequence)]);
  const stored = new Set([0, ...outputs.map(({ sequence }) => sequence)]);
  const found: Finding[] = [];
  for (const event of events) {
    const { sequence, dispatchSequence, outputSequence } = event;
    if (!items.has(dispatchSequence)) {
      const message = `the event ${sequence} of ${taskId} names the dispatch ${dispatchSequence}, which is gone`;
      found.push(finding("stored_lost", message, event));
    }
    if (!stored.has(outputSequence)) {
      const message = `the event ${sequence} of ${taskId} names the output ${outputSequence}, which is gone`;
      found.push(finding("stored_lost", message, event));
    }
  }
  for (const dispatch of dispatches) {
    if (links.has(dispatch.fence)) continue;
    const message = `the dispatch ${dispatch.sequence} of ${taskId} names the event ${dispatch.fence}, which is gone`;
    found.push(finding("stored_lost", message, dispatch));
  }
  return found;
}

function forgotten({ taskId, told }: Evidence, accepted: Submission | undefined): Finding[] {
  if (accepted === undefined) return [];
  const denied = told.find(({ state, startedAt }) => state === UNKNOWN_TASK && startedAt >= accepted.at);
  if (denied === undefined) return [];
  const message = `${taskId} was ${accepted.answer}, and later a client was told that there is no such task`;
  return [finding("forgotten", message, denied, accepted)];
}

function finding(
  rule: string,
  message: string,
  ...exhibits: readonly (Finding["exhibits"][number] | undefined)[]
): Finding {
  return { invariant: 1, rule, message, exhibits: exhibits.filter((exhibit) => exhibit !== undefined) };
}
