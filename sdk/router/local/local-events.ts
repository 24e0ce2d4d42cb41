// The log of one task that runs in this process: its events in the form of the mesh's, for one reader, bounded.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { StreamResultsResponseSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { TerminalError } from "../../agent/index.ts";
import { eventOf, isLast, type TaskEvent } from "../../client/event.ts";
import { type EventKind, MycelError } from "../../client/index.ts";

type EventBody = NonNullable<MessageInitShape<typeof StreamResultsResponseSchema>["kind"]>;

interface Held {
  readonly event: TaskEvent;
  readonly bytes: number;
}

/** What may be unread before a handler whose outputs are being read has to wait, in bytes. As agents have it. */
const READER_BYTES = 1024 * 1024;
/** What is kept for a reader who may come, in bytes. */
const KEPT_BYTES = 64 * 1024 * 1024;
/** What an event takes beside its content. */
const EVENT_BYTES = 256;

/** The events of one task. */
export class LocalEvents {
  readonly #kinds: ReadonlySet<EventKind>;
  #held: Held[] = [];
  #heldBytes = 0;
  #sequence = 0;
  #reader: "none" | "reading" | "left" = "none";
  #failure: { readonly error: unknown } | undefined;
  #ended = false;
  #changed = Promise.withResolvers<void>();
  #last = Promise.withResolvers<TaskEvent>();

  /** `kinds`: which to keep, none for all. Snapshots and the last event are always kept. */
  constructor(kinds: readonly EventKind[]) {
    this.#kinds = new Set(kinds);
    this.#last.promise.catch(() => undefined);
  }

  /** Resolves with the last event; rejects if the task was left before it. */
  get last(): Promise<TaskEvent> {
    return this.#last.promise;
  }

  /** Adds an event. `bytes` is the size of its content. Throws TerminalError OUTPUT_UNREAD if too much is unread. */
  add(kind: EventBody, bytes: number): void {
    if (this.#ended) return;
    const before = this.#held.at(-1);
    // Of progress that nobody has read, only the newest is worth telling.
    const isNewer = isProgress(kind) && before?.event.kind === "progress" && before.event.sequence === this.#sequence;
    const sequence = kind.case === "snapshot" ? 0 : this.#sequence + (isNewer ? 0 : 1);
    const event = eventOf(create(StreamResultsResponseSchema, { sequence: BigInt(sequence), kind }));
    if (event === undefined) throw new MycelError("internal", "an event of a kind that this version does not know");
    this.#ended = isLast(event);
    const isKept = this.#ended || this.#isWanted(event);
    if (isKept && !this.#ended && this.#heldBytes + bytes > KEPT_BYTES) throw tooMuchUnread();
    this.#sequence = sequence;
    if (isNewer) this.#heldBytes -= this.#held.pop()?.bytes ?? 0;
    if (isKept && this.#reader !== "left") {
      this.#held.push({ event, bytes: bytes + EVENT_BYTES });
      this.#heldBytes += bytes + EVENT_BYTES;
    }
    if (this.#ended) this.#last.resolve(event);
    this.#tell();
  }

  /** Ends the log without a last event: its reader gets this error. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = { error };
    this.#last.reject(error);
    this.#tell();
  }

  /** Resolves when there is room for the next output. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.#reader === "reading" && this.#heldBytes > READER_BYTES && !this.#ended && !signal.aborted) {
      await this.#changed.promise;
    }
  }

  /** Wakes who waits for room: an attempt that is over waits for nothing. */
  wake(): void {
    this.#tell();
  }

  /** Reads every event, once, in order. One reader only. */
  async *read(): AsyncGenerator<TaskEvent, void, undefined> {
    this.#reader = "reading";
    try {
      for (;;) {
        const next = this.#held.shift();
        if (next !== undefined) {
          this.#heldBytes -= next.bytes;
          this.#tell();
          yield next.event;
        } else if (this.#failure !== undefined) throw this.#failure.error;
        else if (this.#ended) return;
        else await this.#changed.promise;
      }
    } finally {
      this.#reader = "left";
      this.#held = [];
      this.#heldBytes = 0;
      this.#tell();
    }
  }

  #isWanted({ kind }: TaskEvent): boolean {
    return kind === "snapshot" || this.#kinds.size === 0 || this.#kinds.has(kind);
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

function isProgress(kind: EventBody): boolean {
  return kind.case === "output" && kind.value.output?.kind?.case === "progress";
}

function tooMuchUnread(): TerminalError {
  return new TerminalError(`more than ${KEPT_BYTES} bytes of events that nobody reads`, { reason: "OUTPUT_UNREAD" });
}
