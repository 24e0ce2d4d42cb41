// One change of any task as one line: when, what, of which task, and what there is to say about it.
import type { Task, TaskStatus } from "../../gen/mycel/v1/task_pb.ts";
import { Priority } from "../../gen/mycel/v1/task_pb.ts";
import type { TaskState } from "../../lib/core/task-state.ts";
import { msFromTimestamp } from "../../lib/wire/time-codec.ts";
import { formatDuration } from "../duration.ts";
import { clockTime } from "./clock-time.ts";
import { dateOf, paintState, priorityWord } from "./task-view.ts";
import { type Terminal, cut, harmless } from "./terminal.ts";

const STATE_WIDTH = 11;
const GAP = "  ";
// Wide enough for most types; a longer one widens the column for what follows, up to this.
const MIN_TYPE_WIDTH = 8;
const MAX_TYPE_WIDTH = 20;

/** Makes the lines of one stream of changes: the column of types grows with what was seen. */
export function createChangeLines(terminal: Terminal): (state: TaskState, task: Task) => string {
  let typeWidth = MIN_TYPE_WIDTH;
  return (state, task) => {
    const time = clockTime(terminal, dateOf(task.status?.updateTime));
    const type = harmless(task.type);
    typeWidth = Math.min(MAX_TYPE_WIDTH, Math.max(typeWidth, type.length));
    const shownType = terminal.isTerminal ? cut(type, typeWidth).padEnd(typeWidth) : type;
    const head = `${time}${GAP}${"".padEnd(STATE_WIDTH)}${GAP}${shownType}${GAP}`;
    const rest = `${harmless(task.taskId)}${GAP}${aboutChange(terminal, state, task)}`;
    const painted = paintState(terminal, state.padEnd(STATE_WIDTH), state);
    const tail = cut(rest, terminal.columns - head.length);
    return `${terminal.colors.dim(time)}${GAP}${painted}${GAP}${shownType}${GAP}${tail}`.trimEnd();
  };
}

/** What there is to say about a change beside the state itself. */
function aboutChange(terminal: Terminal, state: TaskState, { type, queue, priority, status }: Task): string {
  if (status === undefined) return "";
  const { attempt, maximumAttempts, cancelReason } = status;
  const of = `attempt ${attempt} of ${maximumAttempts}`;
  switch (state) {
    case "submitted":
    case "scheduled":
      return words([
        state === "scheduled" ? `starts ${when(terminal, status)}` : "",
        queue === type ? "" : `queue ${queue}`,
        priority === Priority.NORMAL ? "" : priorityWord(priority),
      ]);
    case "working":
      return words([attempt > 1 ? of : "", `on ${status.agentId}`]);
    case "backing_off":
      return words([failureText(status), of, `next ${when(terminal, status)}`]);
    case "canceled":
      return words([cancelReason, workText(status)]);
    default:
      return words([failureText(status), workText(status), attempt > 1 ? of : ""]);
  }
}

function failureText({ failure }: TaskStatus): string {
  return failure === undefined ? "" : `${failure.reason}: ${failure.message}`;
}

/** How long the last attempt took, and where. */
function workText({ attemptStartTime, endTime, agentId }: TaskStatus): string {
  const [startMs, endMs] = [msFromTimestamp(attemptStartTime), msFromTimestamp(endTime)];
  const took = startMs === undefined || endMs === undefined ? "" : formatDuration(endMs - startMs);
  return [took, agentId === "" ? "" : `on ${agentId}`].filter((text) => text !== "").join(" ");
}

function when(terminal: Terminal, { nextAttemptTime }: TaskStatus): string {
  return terminal.time(dateOf(nextAttemptTime));
}

function words(parts: readonly string[]): string {
  return harmless(parts.filter((part) => part !== "").join(", "));
}
