// Watches tasks of a log end: terminal events as the broker republishes them once they are stored, seen by the benchmark's own process.
//
// The mesh and the floor are both judged by it, and neither knows of it.

import { TaskState } from "../../gen/mycel/v1/task_pb.ts";
import type { NatsConnection } from "../../lib/nats/connection.ts";
import { decodeEvent } from "../../lib/wire/task-codec.ts";
import type { TaskTracker } from "./task-tracker.ts";

/** The tag of field 1 of a TaskEvent, its state. */
const STATE_TAG = 0x08;
const LIVE_EVENTS = "live.*.*.e";

/** Tells a tracker of the end of every task on one server, until the connection is closed. */
export function watchTaskEnds(connection: NatsConnection, tracker: Pick<TaskTracker, "ended" | "failed">): void {
  connection.subscribe(LIVE_EVENTS, {
    callback: (_error, message) => {
      const state = stateOf(message.data);
      if (!isEnd(state)) return;
      const taskId = message.subject.split(".")[2] ?? "";
      if (state === TaskState.COMPLETED) tracker.ended(taskId);
      else tracker.failed(taskId, `ended in state ${state}`);
    },
  });
}

/** The state of an event. Only its first field is read: decoding all of it would be charged to whoever is measured. */
function stateOf(event: Uint8Array): number {
  return event[0] === STATE_TAG ? (event[1] ?? 0) : decodeEvent(event).state;
}

function isEnd(state: number): boolean {
  return state !== TaskState.SUBMITTED && state !== TaskState.WORKING && state !== TaskState.BACKING_OFF;
}
