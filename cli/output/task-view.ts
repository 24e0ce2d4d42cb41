// A task as a person wants to see it: its state in colour, its status as facts, its values as JSON.
import { isMessage } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { BlobRefSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { Priority, type TaskStatus } from "../../gen/mycel/v1/task_pb.ts";
import type { TaskState } from "../../lib/core/task-state.ts";
import { stateFromWire } from "../../lib/wire/state-codec.ts";
import { msFromTimestamp } from "../../lib/wire/time-codec.ts";
import { type Terminal, harmless } from "./terminal.ts";

/** The word for a status' state. */
export function stateWord(status: TaskStatus | undefined): string {
  return status === undefined ? "" : (stateFromWire(status.state) ?? `state ${status.state}`);
}

/** A state's word in its colour. */
export function paintState(terminal: Terminal, text: string, state: string): string {
  const { green, red, yellow, cyan } = terminal.colors;
  if (state === "completed") return green(text);
  if (state === "failed" || state === "timed_out") return red(text);
  if (state === "canceled" || state === "backing_off") return yellow(text);
  return state === "working" ? cyan(text) : text;
}

/** The word for a priority. */
export function priorityWord(priority: Priority): string {
  const words = new Map<Priority, string>([
    [Priority.LOW, "low"],
    [Priority.NORMAL, "normal"],
    [Priority.HIGH, "high"],
    [Priority.CRITICAL, "critical"],
  ]);
  return words.get(priority) ?? String(priority);
}

/** A Protobuf timestamp as a date. */
export function dateOf(time: Parameters<typeof msFromTimestamp>[0] | undefined): Date | undefined {
  const ms = time === undefined ? undefined : msFromTimestamp(time);
  return ms === undefined ? undefined : new Date(ms);
}

/** What a status says, as facts. */
export function statusFacts(terminal: Terminal, status: TaskStatus): [name: string, value: string][] {
  const state = stateWord(status);
  const { failure } = status;
  const attempt = status.attempt === 0 ? "" : `${status.attempt} of ${status.maximumAttempts}`;
  return [
    ["task", status.taskId],
    ["state", paintState(terminal, state, state)],
    ["attempt", attempt === "" || status.agentId === "" ? attempt : `${attempt} on ${harmless(status.agentId)}`],
    ["created", terminal.time(dateOf(status.createTime))],
    ["started", terminal.time(dateOf(status.attemptStartTime))],
    ["next try", terminal.time(dateOf(status.nextAttemptTime))],
    ["ended", terminal.time(dateOf(status.endTime))],
    ["kept until", terminal.time(dateOf(status.expireTime))],
    ["failure", failure === undefined ? "" : harmless(`${failure.reason}: ${failure.message}`)],
    ["canceled", harmless(status.cancelReason)],
    ["trace", status.traceId],
  ];
}

/** A decoded value on one line. */
export function valueLine(value: unknown): string {
  if (value === undefined) return "";
  if (value instanceof Uint8Array) return `<${value.length} bytes>`;
  if (isMessage(value, BlobRefSchema)) {
    return `<blob ${value.blobId}, ${value.sizeBytes} bytes of ${value.contentType === "" ? "octets" : value.contentType}>`;
  }
  if (isMessage(value, AnySchema)) return `<message ${harmless(value.typeUrl)}, ${value.value.length} bytes>`;
  return harmless(JSON.stringify(value) ?? "");
}

/** Whether a state is an end that a script should take for a failure. */
export function isBadEnd(state: TaskState): boolean {
  return state === "failed" || state === "timed_out" || state === "canceled";
}
