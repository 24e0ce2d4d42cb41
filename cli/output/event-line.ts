// One event of a task as one line.
import type { TaskEvent } from "../../sdk/client/index.ts";
import { clockTime } from "./clock-time.ts";
import { dateOf, paintState, valueLine } from "./task-view.ts";
import { type Terminal, cut, harmless } from "./terminal.ts";

const LABEL_WIDTH = 11;

/** The line for an event: time, what it is, what it says. On a terminal it is cut to the width. */
export function eventLine(terminal: Terminal, event: TaskEvent): string {
  const label = event.kind === "snapshot" || event.kind === "state" ? event.state : event.kind;
  const time = clockTime(terminal, timeOf(event));
  const text = textOf(event);
  const room = terminal.columns - time.length - LABEL_WIDTH - 4;
  const painted = paintLabel(terminal, label.padEnd(LABEL_WIDTH), label, event);
  return `${terminal.colors.dim(time)}  ${painted}  ${cut(text, room)}`.trimEnd();
}

function textOf(event: TaskEvent): string {
  switch (event.kind) {
    case "snapshot":
      return `task ${event.status.taskId} (${harmless(event.task.type)})`;
    case "chunk":
      return valueLine(event.value);
    case "progress":
      return `${Math.round(event.fraction * 100)} % ${harmless(event.text)}`.trimEnd();
    case "log":
      return `${event.level.toUpperCase()} ${harmless(event.text)}`;
    default:
      return stateText(event);
  }
}

function stateText({ state, status, result }: Extract<TaskEvent, { kind: "state" }>): string {
  const { failure, attempt, maximumAttempts, agentId, cancelReason } = status;
  if (state === "completed") return valueLine(result);
  if (state === "canceled") return harmless(cancelReason);
  if (state === "working") return `attempt ${attempt} of ${maximumAttempts} on ${harmless(agentId)}`;
  return failure === undefined ? "" : harmless(`${failure.reason}: ${failure.message}`);
}

function timeOf(event: TaskEvent): Date | undefined {
  if (event.kind === "snapshot" || event.kind === "state")
    return dateOf(event.status.updateTime ?? event.status.createTime);
  return event.time;
}

function paintLabel(terminal: Terminal, text: string, label: string, event: TaskEvent): string {
  if (event.kind === "snapshot") return terminal.colors.dim(text);
  return event.kind === "log" && event.level === "error"
    ? terminal.colors.red(text)
    : paintState(terminal, text, label);
}
