// States, failure sources and priorities between the wire's numbers and core's words.

import { FailureSource, Priority, TaskState as WireState } from "../../gen/mycel/v1/task_pb.ts";
import type { Failure } from "../core/task.ts";
import { TASK_STATES, type TaskState } from "../core/task-state.ts";

const TO_WIRE: Readonly<Record<TaskState, WireState>> = {
  submitted: WireState.SUBMITTED,
  scheduled: WireState.SCHEDULED,
  working: WireState.WORKING,
  backing_off: WireState.BACKING_OFF,
  completed: WireState.COMPLETED,
  failed: WireState.FAILED,
  canceled: WireState.CANCELED,
  timed_out: WireState.TIMED_OUT,
};

const FROM_WIRE: ReadonlyMap<number, TaskState> = new Map(TASK_STATES.map((state) => [TO_WIRE[state], state]));

/** The wire's number for a state. */
export function stateToWire(state: TaskState): WireState {
  return TO_WIRE[state];
}

/** Core's word for a state; undefined for a number that this version doesn't know. */
export function stateFromWire(state: number): TaskState | undefined {
  return FROM_WIRE.get(state);
}

const SOURCE_TO_WIRE: Readonly<Record<Failure["source"], FailureSource>> = {
  agent: FailureSource.AGENT,
  mesh: FailureSource.MESH,
  timeout: FailureSource.TIMEOUT,
};

/** The wire's number for who says that something failed. */
export function sourceToWire(source: Failure["source"]): FailureSource {
  return SOURCE_TO_WIRE[source];
}

/** Core's word for who says that something failed; an agent's word is what an unknown number is taken for. */
export function sourceFromWire(source: number): Failure["source"] {
  if (source === FailureSource.MESH) return "mesh";
  return source === FailureSource.TIMEOUT ? "timeout" : "agent";
}

/** The wire's number for a priority as it stands in subjects; the two are the same numbers. */
export function priorityToWire(priority: number): Priority {
  return PRIORITIES_ON_WIRE.find((known) => known === priority) ?? Priority.UNSPECIFIED;
}

const PRIORITIES_ON_WIRE: readonly Priority[] = [Priority.CRITICAL, Priority.HIGH, Priority.NORMAL, Priority.LOW];
