// What a stream of results carries, as JavaScript values. Pure.
import type { StateChange, StreamResultsResponse } from "../../gen/mycel/v1/agent_service_pb.ts";
import { ResultKind } from "../../gen/mycel/v1/agent_service_pb.ts";
import { LogLevel } from "../../gen/mycel/v1/output_pb.ts";
import type { Task, TaskStatus } from "../../gen/mycel/v1/task_pb.ts";
import { type TaskState, isTerminal } from "../../lib/core/task-state.ts";
import { stateFromWire } from "../../lib/wire/state-codec.ts";
import { msFromTimestamp } from "../../lib/wire/time-codec.ts";
import { MycelError, invalidOption } from "./mycel-error.ts";
import { decodePayload } from "./payload.ts";

/** What every event has. */
export interface EventBase {
  /** Resumes after this event, on any coordinator. Opaque. */
  readonly cursor: string;
  /** The event's place in its task, from 1. In a snapshot: the place of what was last sent, 0 at the start. */
  readonly sequence: number;
  /** The message as it came. */
  readonly message: StreamResultsResponse;
}

/** How far the task was as the watch began. Always the first event, and only the first. */
export interface SnapshotEvent extends EventBase {
  readonly kind: "snapshot";
  readonly state: TaskState;
  readonly status: TaskStatus;
  readonly task: Task;
}

/** The task's state changed. */
export interface StateEvent extends EventBase {
  readonly kind: "state";
  readonly state: TaskState;
  readonly status: TaskStatus;
  /** What the task returned, if the state is `completed`; a large one is a BlobRef. */
  readonly result: unknown;
}

/** What the outputs of an attempt have. When `attempt` grows, an attempt has failed and the outputs begin anew. */
export interface OutputEventBase extends EventBase {
  /** The attempt, from 1. */
  readonly attempt: number;
  /** The agent. */
  readonly agentId: string;
  /** When the handler gave it, by the agent's clock. */
  readonly time: Date;
}

/** A partial result. */
export interface ChunkEvent extends OutputEventBase {
  readonly kind: "chunk";
  /** What the handler streamed; a large one is a BlobRef. */
  readonly value: unknown;
}

/** How far an attempt is. */
export interface ProgressEvent extends OutputEventBase {
  readonly kind: "progress";
  /** The share done, from 0 to 1. */
  readonly fraction: number;
  /** What is being done. */
  readonly text: string;
}

/** A line that the handler wrote for people. */
export interface LogEvent extends OutputEventBase {
  readonly kind: "log";
  readonly level: "debug" | "info" | "warn" | "error";
  readonly text: string;
}

/** One event of a task. */
export type TaskEvent = SnapshotEvent | StateEvent | ChunkEvent | ProgressEvent | LogEvent;

/** The kinds that a watch can be limited to. */
export type EventKind = Exclude<TaskEvent["kind"], "snapshot">;

const KINDS: Readonly<Record<EventKind, ResultKind>> = {
  state: ResultKind.STATE,
  chunk: ResultKind.CHUNK,
  progress: ResultKind.PROGRESS,
  log: ResultKind.LOG,
};

/** The wire's numbers for kinds. Throws a MycelError (INVALID_OPTION) for an unknown one. */
export function kindsToWire(kinds: readonly EventKind[]): ResultKind[] {
  return kinds.map((kind) => {
    const number: ResultKind | undefined = KINDS[kind];
    if (number === undefined) {
      throw invalidOption("kinds", `must be some of ${Object.keys(KINDS).join(", ")}, got ${JSON.stringify(kind)}`);
    }
    return number;
  });
}

/** Decodes a message; undefined for a keep-alive and for what this version does not know. */
export function eventOf(message: StreamResultsResponse): TaskEvent | undefined {
  const base: EventBase = { cursor: message.cursor, sequence: Number(message.sequence), message };
  switch (message.kind.case) {
    case "snapshot":
      return snapshotOf(base, message.kind.value);
    case "stateChange":
      return stateOf(base, message.kind.value);
    case "output":
      return outputOf(base, message.kind.value);
    default:
      return undefined;
  }
}

/** Whether nothing can follow the event but the end of the stream. */
export function isLast(event: TaskEvent): boolean {
  return event.kind === "state" && isTerminal(event.state);
}

/** The word for a status' state. Throws a MycelError for a state that this version does not know. */
export function stateNameOf(status: TaskStatus): TaskState {
  const state = stateFromWire(status.state);
  if (state === undefined) {
    throw new MycelError(
      "unimplemented",
      `task ${status.taskId} is in state ${status.state}, which this client does not know`,
    );
  }
  return state;
}

function snapshotOf(base: EventBase, task: Task): SnapshotEvent {
  const status = present(task.status, "a snapshot without a status");
  return { ...base, kind: "snapshot", state: stateNameOf(status), status, task };
}

function stateOf(base: EventBase, change: StateChange): StateEvent {
  const status = present(change.status, "a state change without a status");
  return { ...base, kind: "state", state: stateNameOf(status), status, result: decodePayload(change.result) };
}

function outputOf(
  base: EventBase,
  { attempt, agentId, output }: Extract<StreamResultsResponse["kind"], { case: "output" }>["value"],
): TaskEvent | undefined {
  const time = new Date(msFromTimestamp(output?.time) ?? 0);
  const common: OutputEventBase = { ...base, attempt, agentId, time };
  switch (output?.kind.case) {
    case "chunk":
      return { ...common, kind: "chunk", value: decodePayload(output.kind.value) };
    case "progress":
      return { ...common, kind: "progress", fraction: output.kind.value.fraction, text: output.kind.value.message };
    case "log":
      return { ...common, kind: "log", level: levelOf(output.kind.value.level), text: output.kind.value.message };
    default:
      return undefined;
  }
}

function levelOf(level: LogLevel): LogEvent["level"] {
  if (level === LogLevel.DEBUG) return "debug";
  if (level === LogLevel.WARN) return "warn";
  return level === LogLevel.ERROR ? "error" : "info";
}

function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new MycelError("internal", `the server sent ${what}`);
  return value;
}
