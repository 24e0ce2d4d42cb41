// Owns what a handler may do while it runs. Everything is made when it is asked for, so a tiny task pays for nothing it does not use.
import type { Payload } from "../../gen/mycel/v1/payload_pb.ts";
import type { Logger } from "../../lib/core/logger.ts";
import type { BlobStream } from "./blobs.ts";
import type { LogLevelName } from "./output-codec.ts";

/** A handler's means while it runs. Its methods may be taken out: `async (task, { signal, output }) => …`. */
export interface TaskContext {
  /**
   * Aborted when the attempt must stop: canceled, out of time, lease lost, or the agent shuts down. `signal.reason` is an
   * {@link AgentError} whose code says which. What the handler does after that counts for nothing.
   */
  readonly signal: AbortSignal;
  /** The number of this attempt, from 1. */
  readonly attempt: number;
  /** When the attempt must be over. */
  readonly deadline: Date;
  /** Writes to the agent's own log, with task, attempt and agent ids. */
  readonly logger: Logger;
  /**
   * Streams a partial result to whoever follows the task. Resolves when there is room for the next one; await it to keep pace with the
   * broker. Rejects with `signal.reason` once the attempt is over.
   */
  readonly output: (value: unknown) => Promise<void>;
  /** Says how far the work is: from 0 to 1. Cheap; call it as often as you like. */
  readonly progress: (fraction: number, message?: string) => void;
  /** Writes a line for whoever follows the task: `log("text")` or `log("warn", "text")`. */
  readonly log: (levelOrMessage: string, message?: string) => void;
  /** Says that the handler is alive, for tasks with a heartbeat timeout. Outputs and progress say it too. */
  readonly heartbeat: () => void;
  /** Reads a payload as bytes: of a blob, the content, checked against its SHA-256. */
  readonly blob: (payload: Payload | undefined) => Promise<Uint8Array>;
  /** Opens a blob for reading piece by piece, for what is too large to be held in memory; its SHA-256 is checked at its end. */
  readonly openBlob: (blobId: string) => Promise<BlobStream>;
}

/** What the context asks of its attempt. */
export interface ContextHost {
  readonly attempt: number;
  readonly deadlineTimeMs: number;
  signal(): AbortSignal;
  logger(): Logger;
  output(value: unknown): Promise<void>;
  progress(fraction: number, message: string): void;
  log(level: LogLevelName, message: string): void;
  heartbeat(): void;
  blob(payload: Payload | undefined): Promise<Uint8Array>;
  openBlob(blobId: string): Promise<BlobStream>;
}

/** Makes the context of an attempt. */
export function createContext(host: ContextHost): TaskContext {
  return new HostedContext(host);
}

const LEVELS: ReadonlySet<string> = new Set<LogLevelName>(["debug", "info", "warn", "error"]);

class HostedContext implements TaskContext {
  readonly #host: ContextHost;

  constructor(host: ContextHost) {
    this.#host = host;
  }

  get signal(): AbortSignal {
    return this.#host.signal();
  }

  get attempt(): number {
    return this.#host.attempt;
  }

  get deadline(): Date {
    return new Date(this.#host.deadlineTimeMs);
  }

  get logger(): Logger {
    return this.#host.logger();
  }

  // Getters that give closures: handlers take methods out of the context, and most handlers use none.
  get output(): TaskContext["output"] {
    return (value) => this.#host.output(value);
  }

  get progress(): TaskContext["progress"] {
    return (fraction, message = "") => this.#host.progress(fraction, message);
  }

  get log(): TaskContext["log"] {
    return (levelOrMessage, message) => {
      if (message === undefined) this.#host.log("info", levelOrMessage);
      else this.#host.log(isLevel(levelOrMessage) ? levelOrMessage : "info", message);
    };
  }

  get heartbeat(): TaskContext["heartbeat"] {
    return () => this.#host.heartbeat();
  }

  get blob(): TaskContext["blob"] {
    return (payload) => this.#host.blob(payload);
  }

  get openBlob(): TaskContext["openBlob"] {
    return (blobId) => this.#host.openBlob(blobId);
  }
}

function isLevel(text: string): text is LogLevelName {
  return LEVELS.has(text);
}
