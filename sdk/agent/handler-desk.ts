// Owns what a running handler reaches through its context: its abort signal, its outputs, its log. Made of what it uses, when it uses it.
// Whether the attempt is at work, and what the mesh knows of it, is the attempt's to say.
import type { Payload } from "../../gen/mycel/v1/payload_pb.ts";
import { MAX_INLINE_PAYLOAD_BYTES } from "../../lib/core/limits.ts";
import type { Logger } from "../../lib/core/logger.ts";
import { AgentError } from "./agent-error.ts";
import type { AttemptHost } from "./attempt-host.ts";
import type { BlobStream } from "./blobs.ts";
import type { ContextHost } from "./context.ts";
import type { LogLevelName } from "./output-codec.ts";
import { Outputs } from "./outputs.ts";
import { blobContentOf, encodePayload, type EncodedPayload } from "./payload.ts";
import { readPayload } from "./task.ts";

/** The attempt, as its handler's desk sees it. */
export interface DeskOwner {
  readonly taskId: string;
  readonly attempt: number;
  /** Names this run of this attempt among all that may ever be. */
  readonly runId: string;
  /** When the attempt must be over, in milliseconds since 1970. */
  readonly deadlineTimeMs: number;
  /** Whether the handler runs and what it does still counts. */
  readonly working: boolean;
  /** The handler gave a sign of life. */
  heartbeat(): void;
  /** Tells the mesh that the attempt runs; resolves with whether the lease holds. */
  beginLazily(): Promise<boolean>;
  /** Whether outputs may be published now. */
  mayPublish(): boolean;
}

/** A handler's means. */
export class HandlerDesk implements ContextHost {
  readonly #host: AttemptHost;
  readonly #owner: DeskOwner;
  #outputs: Outputs | undefined;
  #controller: AbortController | undefined;
  #abortReason: AgentError | undefined;

  constructor(host: AttemptHost, owner: DeskOwner) {
    this.#host = host;
    this.#owner = owner;
  }

  /** What was streamed, if anything was. */
  get outputs(): Outputs | undefined {
    return this.#outputs;
  }

  /** Why the handler was told to stop, if it was. */
  get abortReason(): AgentError | undefined {
    return this.#abortReason;
  }

  /** Tells the handler to stop. */
  abort(reason: AgentError): void {
    this.#abortReason ??= reason;
    this.#controller?.abort(this.#abortReason);
  }

  /** Uploads what is too large to travel inline. */
  async upload(value: unknown): Promise<EncodedPayload> {
    const content = blobContentOf(value);
    if (content === undefined) {
      throw new AgentError("BLOB_UNAVAILABLE", "a message over 256 KiB has no blob form: return its bytes");
    }
    return encodePayload(await this.#host.blobs.upload(content, this.signal())) ?? new Uint8Array();
  }

  get attempt(): number {
    return this.#owner.attempt;
  }

  get deadlineTimeMs(): number {
    return this.#owner.deadlineTimeMs;
  }

  signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    return this.#controller.signal;
  }

  logger(): Logger {
    const { taskId, attempt } = this.#owner;
    return this.#host.logger.child({ task_id: taskId, attempt, agent_id: this.#host.agentId });
  }

  output(value: unknown): Promise<void> {
    this.heartbeat();
    if (!this.#owner.working) {
      return contained(Promise.reject(this.#abortReason ?? new AgentError("LEASE_LOST", "the attempt is over")));
    }
    try {
      const payload = encodePayload(value === undefined ? null : value) ?? new Uint8Array();
      if (payload.length <= MAX_INLINE_PAYLOAD_BYTES) return this.#stream().push({ kind: "chunk", payload });
      return contained(this.#stream().pushLater(this.upload(value)));
    } catch (error) {
      return contained(Promise.reject(error));
    }
  }

  progress(fraction: number, message: string): void {
    this.heartbeat();
    const share = Number.isFinite(fraction) ? Math.min(1, Math.max(0, fraction)) : 0;
    if (this.#owner.working) void this.#stream().push({ kind: "progress", fraction: share, message });
  }

  log(level: LogLevelName, message: string): void {
    if (this.#owner.working) void this.#stream().push({ kind: "log", level, message });
  }

  heartbeat(): void {
    this.#owner.heartbeat();
  }

  blob(payload: Payload | undefined): Promise<Uint8Array> {
    return readPayload(payload, this.#host.blobs, this.signal());
  }

  openBlob(blobId: string): Promise<BlobStream> {
    return this.#host.blobs.open(blobId, this.signal());
  }

  #stream(): Outputs {
    if (this.#outputs !== undefined) return this.#outputs;
    const { link, clock, settings } = this.#host;
    const owner = this.#owner;
    const outputs = new Outputs({
      link,
      clock,
      subject: this.#host.outputSubject(owner.taskId, owner.attempt),
      runId: owner.runId,
      coalesceMs: settings.coalesceMs,
      publishTimeoutMs: settings.requestTimeoutMs,
      mayPublish: () => owner.mayPublish(),
    });
    this.#outputs = outputs;
    // Readers must know the attempt before they see what it says.
    void owner.beginLazily().then((held) => (held ? outputs.open() : undefined));
    return outputs;
  }
}

// A promise that the handler may or may not await: not awaiting it must not end the process.
function contained<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
