// One attempt of a task in this process: calls its handler with the means that an agent's handler has, and keeps its time limits.
import { create, fromBinary } from "@bufbuild/protobuf";
import { context } from "@opentelemetry/api";
import type { Context } from "@opentelemetry/api";
import { LogLevel, OutputSchema } from "../../../gen/mycel/v1/output_pb.ts";
import { type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { AgentError, type LogLevelName } from "../../agent/index.ts";
import type { Blobs, BlobStream } from "../../agent/blobs.ts";
import type { ContextHost } from "../../agent/context.ts";
import type { Capability } from "../../agent/index.ts";
import { callHandler } from "../../agent/handler-call.ts";
import { type Outcome, outcomeOfTimeout } from "../../agent/outcome.ts";
import { encodePayload } from "../../agent/payload.ts";
import { readPayload } from "../../agent/task.ts";
import type { WorkItem } from "../../agent/work-item.ts";
import type { LocalEvents } from "./local-events.ts";
import { LOCAL_AGENT_ID } from "./local-status.ts";

/** What an attempt needs. */
export interface LocalAttemptOptions {
  readonly item: WorkItem;
  readonly capability: Capability;
  readonly startToCloseMs: number;
  readonly events: LocalEvents;
  readonly blobs: Blobs;
  readonly clock: Clock;
  readonly logger: Logger;
}

const LEVELS: Readonly<Record<LogLevelName, LogLevel>> = {
  debug: LogLevel.DEBUG,
  info: LogLevel.INFO,
  warn: LogLevel.WARN,
  error: LogLevel.ERROR,
};
const MAX_TEXT_LENGTH = 4_096;

/** An attempt. */
export class LocalAttempt implements ContextHost {
  readonly startMs: number;
  readonly #options: LocalAttemptOptions;
  readonly #stopped = new AbortController();
  readonly #ended = Promise.withResolvers<Outcome | undefined>();
  #outputs = 0;
  #isOver = false;
  #silence: NodeJS.Timeout | undefined;

  constructor(options: LocalAttemptOptions) {
    this.#options = options;
    this.startMs = options.clock.now();
  }

  get attempt(): number {
    return this.#options.item.attempt;
  }

  get deadlineTimeMs(): number {
    return this.startMs + this.#options.startToCloseMs;
  }

  /**
   * Calls the handler. `outcome` resolves with what it came to, or with undefined if the attempt was stopped; `returned` when the handler is
   * done, which one that does not look at its signal may be later.
   */
  run(inside: Context): { readonly outcome: Promise<Outcome | undefined>; readonly returned: Promise<unknown> } {
    const { item, capability, blobs, startToCloseMs } = this.#options;
    const limit = `the attempt ran longer than its limit of ${startToCloseMs} ms`;
    const late = setTimeout(() => this.#timeOut(new AgentError("START_TO_CLOSE_TIMEOUT", limit)), startToCloseMs);
    this.heartbeat();
    const returned = Promise.resolve(context.with(inside, () => callHandler(capability, item, this, blobs)));
    void returned.then(this.#ended.resolve);
    void this.#ended.promise.then(() => {
      this.#isOver = true;
      clearTimeout(late);
      clearTimeout(this.#silence);
    });
    return { outcome: this.#ended.promise, returned };
  }

  /** Tells the handler to stop; what it does after that counts for nothing. */
  stop(reason: AgentError): void {
    this.#end(reason, undefined);
  }

  signal(): AbortSignal {
    return this.#stopped.signal;
  }

  logger(): Logger {
    const { taskId, attempt } = this.#options.item;
    return this.#options.logger.child({ task_id: taskId, attempt, agent_id: LOCAL_AGENT_ID });
  }

  output(value: unknown): Promise<void> {
    this.heartbeat();
    const pushed = this.#push(value);
    // The handler may or may not await it.
    pushed.catch(() => undefined);
    return pushed;
  }

  progress(fraction: number, message: string): void {
    this.heartbeat();
    const share = Number.isFinite(fraction) ? Math.min(1, Math.max(0, fraction)) : 0;
    this.#say({ case: "progress", value: { fraction: share, message: message.slice(0, MAX_TEXT_LENGTH) } });
  }

  log(level: LogLevelName, message: string): void {
    this.#say({ case: "log", value: { level: LEVELS[level], message: message.slice(0, MAX_TEXT_LENGTH) } });
  }

  heartbeat(): void {
    const { heartbeatMs = 0 } = this.#options.item;
    if (heartbeatMs === 0 || this.#isOver) return;
    if (this.#silence !== undefined) {
      this.#silence.refresh();
      return;
    }
    const limit = `the handler gave no sign of life for ${heartbeatMs} ms`;
    this.#silence = setTimeout(() => this.#timeOut(new AgentError("HEARTBEAT_TIMEOUT", limit)), heartbeatMs);
  }

  blob(payload: Payload | undefined): Promise<Uint8Array> {
    return readPayload(payload, this.#options.blobs, this.signal());
  }

  openBlob(blobId: string): Promise<BlobStream> {
    return this.#options.blobs.open(blobId, this.signal());
  }

  async #push(value: unknown): Promise<void> {
    if (this.#isOver || this.#stopped.signal.aborted) {
      throw this.#stopped.signal.reason ?? new AgentError("LEASE_LOST", "the attempt is over");
    }
    const bytes = encodePayload(value === undefined ? null : value) ?? new Uint8Array();
    this.#add({ case: "chunk", value: fromBinary(PayloadSchema, bytes) }, bytes.length);
    await this.#options.events.room(this.#stopped.signal);
    this.#stopped.signal.throwIfAborted();
  }

  #say(kind: OutputKind): void {
    if (this.#isOver || this.#stopped.signal.aborted) return;
    try {
      this.#add(kind, kind.value.message.length);
    } catch {
      // What nobody reads is not worth failing for.
    }
  }

  #add(kind: OutputKind | { case: "chunk"; value: Payload }, bytes: number): void {
    const { events, clock } = this.#options;
    const time = timestampFromMs(clock.now());
    const output = create(OutputSchema, { index: BigInt(this.#outputs), time, kind });
    const value = { attempt: this.attempt, agentId: LOCAL_AGENT_ID, output };
    events.add({ case: "output", value }, bytes);
    this.#outputs += 1;
  }

  #timeOut(reason: AgentError): void {
    this.#end(reason, outcomeOfTimeout(reason.code, reason.message));
  }

  #end(reason: AgentError, outcome: Outcome | undefined): void {
    if (this.#isOver) return;
    this.#ended.resolve(outcome);
    this.#stopped.abort(reason);
    this.#options.events.wake();
  }
}

type OutputKind =
  | { readonly case: "progress"; readonly value: { readonly fraction: number; readonly message: string } }
  | { readonly case: "log"; readonly value: { readonly level: LogLevel; readonly message: string } };
