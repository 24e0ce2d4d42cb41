// Tells the story of one task for people who look into a violation: what clients, readers and handlers saw and what was stored, in the
// order of time, cut down to what lies around the lines that show it.
import type { HistoryEntry, Read } from "../history.ts";
import type { LoggedDispatch, LoggedEvent, LoggedOutput } from "../final-log.ts";
import type { Evidence } from "./evidence.ts";
import type { Exhibit } from "./violation.ts";

/** The most lines of a counterexample. */
export const MAX_LINES = 40;

interface Line {
  readonly at: number;
  readonly text: string;
  readonly shown: boolean;
}

/** The lines around what shows a violation. Times count from the first of them, in milliseconds. */
export function counterexample(evidence: Evidence, exhibits: readonly Exhibit[]): string[] {
  const lines = linesOf(evidence, new Set(exhibits)).sort((a, b) => a.at - b.at);
  const focus = lines.find(({ shown }) => shown)?.at ?? lines.at(-1)?.at ?? 0;
  const nearest = lines.toSorted((a, b) => rank(a, focus) - rank(b, focus)).slice(0, MAX_LINES);
  const kept = new Set(nearest);
  const first = lines[0]?.at ?? 0;
  const told = lines.filter((line) => kept.has(line)).map((line) => textOf(line, first));
  return lines.length > told.length ? [...told, `  (${lines.length - told.length} more lines left out)`] : told;
}

function rank({ at, shown }: Line, focus: number): number {
  return shown ? -1 : Math.abs(at - focus);
}

function textOf({ at, text, shown }: Line, first: number): string {
  return `${shown ? ">" : " "} ${(at - first).toFixed(1).padStart(9)} ms  ${text}`;
}

function linesOf({ submissions, told, readers, runs, logged }: Evidence, exhibits: ReadonlySet<Exhibit>): Line[] {
  const lines: Line[] = [];
  const add = (source: Exhibit, text: string): void => {
    lines.push({ at: source.at, text, shown: exhibits.has(source) });
  };
  for (const entry of [...submissions, ...told]) add(entry, seen(entry));
  for (const { start, end } of runs) for (const entry of [start, end]) if (entry !== undefined) add(entry, seen(entry));
  for (const reads of readers.values()) {
    // What other readers saw explains nothing.
    if (reads.some((read) => exhibits.has(read))) for (const read of reads) add(read, seen(read));
  }
  for (const dispatch of logged?.dispatches ?? []) add(dispatch, `log     ${dispatchText(dispatch)}`);
  for (const event of logged?.events ?? []) add(event, `log     ${eventText(event)}`);
  for (const output of logged?.outputs ?? []) add(output, `output  ${outputText(output)}`);
  return lines;
}

function seen(entry: HistoryEntry): string {
  switch (entry.what) {
    case "submit": {
      const reason = entry.reason === "" ? "" : ` (${entry.reason})`;
      return `client  ${entry.client} submitted it ${since(entry)}: ${entry.answer}${reason}`;
    }
    case "told": {
      const by = entry.execution === undefined ? "" : ` by execution ${entry.execution}`;
      return `client  ${entry.call} asked ${since(entry)}: ${stateText(entry)}${by}`;
    }
    case "read":
      return `reader  ${entry.reader} connection ${entry.connection}: ${readText(entry)}`;
    case "start":
      return `handler ${entry.execution} starts attempt ${entry.attempt} on ${entry.agentId}`;
    case "end":
      return `handler ${entry.execution} ends attempt ${entry.attempt} on ${entry.agentId}: ${entry.result ?? "?"}, ${entry.chunks ?? 0} chunks`;
    case "fault":
      return `fault   ${entry.name} ${entry.phase}`;
  }
}

function since({ at, startedAt }: { readonly at: number; readonly startedAt: number }): string {
  return `${(at - startedAt).toFixed(1)} ms ago`;
}

function stateText({ state = "?", attempt = 0, agentId = "" }: Pick<Read, "state" | "attempt" | "agentId">): string {
  return attempt === 0 && agentId === ""
    ? state
    : `${state}, attempt ${attempt} on ${agentId === "" ? "nobody" : agentId}`;
}

function readText(read: Read): string {
  switch (read.kind) {
    case "snapshot":
    case "state":
      return `${read.kind} at #${read.sequence}: ${stateText(read)}`;
    case "chunk":
      return `chunk at #${read.sequence}: number ${read.index ?? "?"} of attempt ${read.attempt ?? "?"} on ${read.agentId ?? "?"}`;
    case "end":
      return "the stream's end";
    case "left":
      return `left: ${read.reason ?? ""}`;
  }
}

function dispatchText({ sequence, queue, priority, attempt, fence, expected, beginRequired }: LoggedDispatch): string {
  const asked = beginRequired ? ", begin required" : "";
  return `${sequence} dispatch to ${queue}.${priority}: attempt ${attempt}, fence ${fence}, expects ${expected ?? "nothing"}${asked}`;
}

function eventText(event: LoggedEvent): string {
  const { sequence, state, attempt, agentId, expected, endedAttempt, endedAgentId, outputSequence, failure } = event;
  const parts = [`${sequence} event ${stateText({ state, attempt, agentId })}, expects ${expected ?? "nothing"}`];
  if (event.nextAttempt > 0) parts.push(`next attempt ${event.nextAttempt}`);
  if (endedAttempt > 0) parts.push(`ends attempt ${endedAttempt} of ${endedAgentId} with output ${outputSequence}`);
  parts.push(`dispatch ${event.dispatchSequence}, delivery ${event.deliveries}`);
  if (failure !== undefined) parts.push(`${failure.reason}${failure.retryable ? "" : ", not retryable"}`);
  if (event.execution !== undefined) parts.push(`result of execution ${event.execution}`);
  return parts.join(", ");
}

function outputText({ sequence, agentId, attempt, fence, items }: LoggedOutput): string {
  const what = fence ? "fence" : `outputs ${items.map(({ index, kind }) => `${index}:${kind}`).join(" ")}`;
  return `${sequence} attempt ${attempt} of ${agentId}: ${what}`;
}
