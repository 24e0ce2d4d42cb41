// What the order of results needs to know of a stored event or output.

import type { OutputBatch } from "../../gen/mycel/v1/output_pb.ts";
import type { TaskEvent } from "../../gen/mycel/v1/task_log_pb.ts";
import type { ChainLink, OutputLink, Run } from "../core/result-order.ts";
import { isTerminal } from "../core/task-state.ts";
import { stateFromWire } from "./state-codec.ts";

/** The link of an event. `previous` is the sequence of the event before it, which its writer had to name. */
export function chainLinkOf(event: TaskEvent, sequence: number, previous: number): ChainLink {
  const state = stateFromWire(event.state);
  const ended = { agentId: event.endedAgentId, attempt: event.endedAttempt };
  return {
    sequence,
    previous,
    begins: state === "working" ? { agentId: event.agentId, attempt: event.attempt } : undefined,
    ends: event.endedAttempt === 0 ? undefined : { ...ended, outputSequence: Number(event.outputSequence) },
    terminal: state !== undefined && isTerminal(state),
  };
}

/** The link of a message on an attempt's output subject. */
export function outputLinkOf(batch: OutputBatch, run: Run, sequence: number, previous: number): OutputLink {
  return { sequence, previous, run, fence: batch.fence, indexes: batch.outputs.map(({ index }) => Number(index)) };
}
