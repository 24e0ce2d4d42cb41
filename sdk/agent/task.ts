// Owns what a handler sees of its task: plain values, read-only, made from the dispatch when they are asked for.
import type { Payload } from "../../gen/mycel/v1/payload_pb.ts";
import type { Priority } from "../../gen/mycel/v1/task_pb.ts";
import { msFromTimestamp } from "../../lib/wire/time-codec.ts";
import { AgentError } from "./agent-error.ts";
import type { Blobs } from "./blobs.ts";
import { isJsonType, valueOfPayload } from "./payload.ts";
import type { WorkItem } from "./work-item.ts";

/** The task that a handler works on. */
export interface AgentTask<Input = unknown> {
  /**
   * The input: a JSON value (also one that came as a blob of `application/json` because of its size), the bytes of a bytes payload, or
   * what `parse` made of it. Undefined for a task without input, another blob (`…+json` too) or an Any: see `payload` and `read`.
   */
  readonly input: Input;
  /** Names the task within its tenant. */
  readonly taskId: string;
  /** The kind of work. */
  readonly type: string;
  /** The queue it came from. */
  readonly queue: string;
  /** The number of this attempt, from 1. */
  readonly attempt: number;
  /** Who goes first when work is waiting. */
  readonly priority: Priority;
  /** The submitter's labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** When the submission was accepted. */
  readonly createTime: Date;
  /** The input as it travelled. */
  readonly payload: Payload | undefined;
  /** The content of the input as bytes; fetched and checked if it is a blob. Throws {@link AgentError} BLOB_UNAVAILABLE. */
  read(): Promise<Uint8Array>;
}

/** Makes the view of a task. `signal` is asked for only when a blob is fetched. */
export function viewTask(
  item: WorkItem,
  attempt: number,
  input: unknown,
  blobs: Blobs,
  signal: () => AbortSignal,
): AgentTask {
  return new TaskView(item, attempt, input, blobs, signal);
}

/** Whether the input is JSON that came as a blob because of its size. */
export function isJsonBlob(payload: Payload | undefined): boolean {
  return payload?.kind.case === "blob" && isJsonType(payload.kind.value.contentType);
}

/** Reads the content of a payload as bytes. */
export async function readPayload(
  payload: Payload | undefined,
  blobs: Blobs,
  signal: AbortSignal,
): Promise<Uint8Array> {
  switch (payload?.kind.case) {
    case "bytes":
      return payload.kind.value.data;
    case "blob":
      return blobs.download(payload.kind.value, signal);
    case "json":
      return Buffer.from(JSON.stringify(valueOfPayload(payload)));
    case "message":
      return payload.kind.value.value;
    default:
      throw new AgentError("BLOB_UNAVAILABLE", "the payload carries no data");
  }
}

class TaskView implements AgentTask {
  readonly input: unknown;
  readonly attempt: number;
  readonly #item: WorkItem;
  readonly #blobs: Blobs;
  readonly #signal: () => AbortSignal;

  constructor(item: WorkItem, attempt: number, input: unknown, blobs: Blobs, signal: () => AbortSignal) {
    this.input = input;
    this.attempt = attempt;
    this.#item = item;
    this.#blobs = blobs;
    this.#signal = signal;
  }

  get taskId(): string {
    return this.#item.taskId;
  }

  get type(): string {
    return this.#item.type;
  }

  get queue(): string {
    return this.#item.queue;
  }

  get priority(): Priority {
    return this.#item.task.priority;
  }

  get labels(): Readonly<Record<string, string>> {
    return this.#item.task.labels;
  }

  get createTime(): Date {
    return new Date(msFromTimestamp(this.#item.task.createTime) ?? 0);
  }

  get payload(): Payload | undefined {
    return this.#item.task.input;
  }

  read(): Promise<Uint8Array> {
    return readPayload(this.#item.task.input, this.#blobs, this.#signal());
  }
}
