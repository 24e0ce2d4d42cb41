// Owns what an agent knows of the work that it was given: what it needs at once, and the whole task for handlers that ask for more.
import type { Payload } from "../../gen/mycel/v1/payload_pb.ts";
import type { Task } from "../../gen/mycel/v1/task_pb.ts";
import { taskUnreadable } from "../../lib/core/mesh-error.ts";
import { decodeDispatch } from "../../lib/wire/task-codec.ts";
import { msFromDuration } from "../../lib/wire/time-codec.ts";
import { type DispatchFacts, readDispatch } from "./dispatch-reader.ts";
import { valueOfPayload } from "./payload.ts";
import { UNUSUAL } from "./wire-cursor.ts";

/** A dispatched task. */
export interface WorkItem extends Readonly<DispatchFacts> {
  /** The input if it is a blob, which must be fetched to be known. */
  readonly blob: Payload | undefined;
  /** The task as it was submitted, read when it is first asked for. */
  readonly task: Task;
}

/** Reads a dispatch. Throws MeshError TASK_UNREADABLE. */
export function readWorkItem(bytes: Uint8Array): WorkItem {
  const item = new ReadItem(bytes);
  try {
    readDispatch(bytes, item);
    return item;
  } catch (error) {
    if (error === UNUSUAL) return readWhole(bytes);
    throw error;
  }
}

/** Reads a dispatch by its schema, whatever form it has. Throws MeshError TASK_UNREADABLE. */
export function readWhole(bytes: Uint8Array): WorkItem {
  const { attempt, fence, beginRequired, leaseToken, task } = decodeDispatch(bytes);
  if (task === undefined) throw taskUnreadable();
  const { taskId, type, queue, timeouts } = task;
  return {
    taskId,
    type,
    queue,
    attempt,
    fence,
    beginRequired,
    leaseToken,
    startToCloseMs: msFromDuration(timeouts?.startToClose),
    heartbeatMs: msFromDuration(timeouts?.heartbeat),
    input: valueOfPayload(task.input),
    blob: task.input?.kind.case === "blob" ? task.input : undefined,
    task,
  };
}

class ReadItem implements WorkItem, DispatchFacts {
  taskId = "";
  type = "";
  queue = "";
  attempt = 0;
  fence = 0n;
  beginRequired = false;
  leaseToken = "";
  startToCloseMs: number | undefined = undefined;
  heartbeatMs: number | undefined = undefined;
  input: unknown = undefined;
  readonly blob: undefined;
  readonly #bytes: Uint8Array;
  #task: Task | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get task(): Task {
    return (this.#task ??= readWhole(this.#bytes).task);
  }
}
