// The story of one task, told event by event: its states with their times, and what its attempts streamed. Pure.
import type { Task, TaskStatus } from "../../../gen/mycel/v1/task_pb.ts";
import { isTerminal, type TaskState } from "../../../lib/core/task-state.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import type { TaskEvent } from "../../../sdk/client/index.ts";
import { valueLine } from "../../output/task-view.ts";
import { harmless } from "../../output/terminal.ts";

/** One state of a task. */
export interface StoryState {
  readonly state: TaskState;
  /** When it was reached, in milliseconds since 1970. */
  readonly atMs: number;
  /** The attempt, from 1; 0 before the first. */
  readonly attempt: number;
  readonly agentId: string;
  /** What there is to say about it. */
  readonly text: string;
}

/** One line of what a task's attempts streamed. */
export interface StoryLine {
  readonly kind: "chunk" | "log" | "attempt";
  /** Without control characters. */
  readonly text: string;
  readonly level: "debug" | "info" | "warn" | "error";
}

/** How far the running attempt says that it is. */
export interface StoryProgress {
  /** From 0 to 1. */
  readonly fraction: number;
  readonly text: string;
}

/** A task, and what became of it. */
export interface Story {
  readonly taskId: string;
  readonly task: Task | undefined;
  readonly status: TaskStatus | undefined;
  readonly state: TaskState | undefined;
  readonly states: readonly StoryState[];
  readonly lines: readonly StoryLine[];
  readonly progress: StoryProgress | undefined;
  /** The result as one line; empty if there is none. */
  readonly result: string;
  /** Whether the last chunk was text that the next one goes on with. */
  readonly midText: boolean;
}

const MAX_STATES = 500;
const MAX_LINES = 2_000;
const MAX_LINE_LENGTH = 4_000;

/** A story of which nothing is known yet. */
export function untoldStory(taskId: string): Story {
  return {
    taskId,
    task: undefined,
    status: undefined,
    state: undefined,
    states: [],
    lines: [],
    progress: undefined,
    result: "",
    midText: false,
  };
}

/** Whether nothing can follow. */
export function isOver({ state }: Story): boolean {
  return state !== undefined && isTerminal(state);
}

/** The story after one more event. */
export function tell(story: Story, event: TaskEvent): Story {
  switch (event.kind) {
    case "snapshot":
      return begun(story, event.task, event.status);
    case "state":
      return changed(story, event.state, event.status, event.result);
    case "progress":
      return { ...story, progress: { fraction: event.fraction, text: harmless(event.text) } };
    case "log":
      return withLines(story, [{ kind: "log", text: bounded(harmless(event.text)), level: event.level }], false);
    default:
      return typeof event.value === "string"
        ? withText(story, event.value)
        : withLines(story, [chunkLine(valueLine(event.value))], false);
  }
}

// What follows a snapshot begins at the submission: the snapshot itself says only what the task is.
function begun(story: Story, task: Task, status: TaskStatus): Story {
  const atMs = msFromTimestamp(status.createTime) ?? 0;
  const delayed = task.startTime !== undefined;
  const first: StoryState = { state: delayed ? "scheduled" : "submitted", atMs, attempt: 0, agentId: "", text: "" };
  return { ...story, task, status, state: first.state, states: story.states.length === 0 ? [first] : story.states };
}

function changed(story: Story, state: TaskState, status: TaskStatus, result: unknown): Story {
  const entry: StoryState = {
    state,
    atMs: msFromTimestamp(status.updateTime) ?? 0,
    attempt: status.attempt,
    agentId: status.agentId,
    text: stateText(state, status),
  };
  const states = [...story.states, ...unseenStart(story, entry, status), entry].slice(-MAX_STATES);
  const next = { ...story, status, state, states, result: result === undefined ? "" : bounded(valueLine(result)) };
  if (state !== "working" || status.attempt < 2) return next;
  const text = `attempt ${status.attempt} begins anew`;
  return withLines({ ...next, progress: undefined }, [{ kind: "attempt", text, level: "info" }], false);
}

// An attempt that ends within moments has no event of its own for its start; its end says when that was.
function unseenStart(
  { states }: Story,
  entry: StoryState,
  { attemptStartTime, attempt, agentId }: TaskStatus,
): StoryState[] {
  if (entry.state === "working" || attempt === 0) return [];
  if (states.some((seen) => seen.state === "working" && seen.attempt === attempt)) return [];
  const atMs = msFromTimestamp(attemptStartTime);
  return atMs === undefined || atMs > entry.atMs ? [] : [{ state: "working", atMs, attempt, agentId, text: "" }];
}

function stateText(state: TaskState, { failure, cancelReason }: TaskStatus): string {
  if (state === "canceled") return harmless(cancelReason);
  if (state === "completed" || state === "working" || failure === undefined) return "";
  return harmless(`${failure.reason}: ${failure.message}`);
}

/** Text that comes in pieces is one text: a model's words, say. */
function withText(story: Story, piece: string): Story {
  const [first = "", ...rest] = piece.split(/\r?\n/);
  const last = story.lines.at(-1);
  const goesOn = story.midText && last?.kind === "chunk";
  const head = goesOn ? `${last.text}${cleaned(first)}` : cleaned(first);
  const kept = goesOn ? { ...story, lines: story.lines.slice(0, -1) } : story;
  return withLines(kept, [head, ...rest.map(cleaned)].map(chunkLine), true);
}

function withLines(story: Story, lines: readonly StoryLine[], midText: boolean): Story {
  return { ...story, lines: [...story.lines, ...lines].slice(-MAX_LINES), midText };
}

function chunkLine(text: string): StoryLine {
  return { kind: "chunk", text: bounded(text), level: "info" };
}

// Indentation is kept as far as a terminal can show it.
function cleaned(text: string): string {
  return harmless(text.replaceAll("\t", "  "));
}

function bounded(text: string): string {
  return text.length <= MAX_LINE_LENGTH ? text : `${text.slice(0, MAX_LINE_LENGTH - 1)}…`;
}
