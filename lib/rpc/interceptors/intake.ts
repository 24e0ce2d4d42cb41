// All request bodies that arrive: how long a message may take, and how many bytes all unfinished ones together may hold. It must not look
// into messages.
import { Code, type ConnectError } from "@connectrpc/connect";
import { richError } from "../rich-error.ts";

/** Options of {@link Intake}. */
export interface IntakeOptions {
  /**
   * Bytes of unfinished messages of all requests together, at least 1. Default 256 MiB. One more is refused with
   * RESOURCE_EXHAUSTED (REQUESTS_TOO_LARGE).
   */
  readonly maxHeldBytes?: number;
  /**
   * How long a message may take from its first byte to its last, in milliseconds, 1 to 3,600,000; default 60,000. Where the
   * client must send exactly one message, it counts from the headers. Later is DEADLINE_EXCEEDED (REQUEST_TIMEOUT).
   */
  readonly messageTimeoutMs?: number;
}

/** A body that arrives. */
export interface Arriving {
  /** Since when a message is awaited, on the monotonic clock; undefined between messages. */
  readonly sinceMs: number | undefined;
  /** Called when that is too long ago. */
  expire(error: ConnectError): void;
}

const DEFAULT_MAX_HELD_BYTES = 256 * 1024 * 1024;
const DEFAULT_MESSAGE_TIMEOUT_MS = 60_000;
const RETRY_MS = 1_000;

/** Looks after what arrives. */
export class Intake {
  readonly #maxHeldBytes: number;
  readonly #timeoutMs: number;
  readonly #bodies = new Set<Arriving>();
  #heldBytes = 0;
  #armed = false;

  /** Throws RangeError when a limit is out of range. */
  constructor(options: IntakeOptions = {}) {
    const { maxHeldBytes = DEFAULT_MAX_HELD_BYTES, messageTimeoutMs = DEFAULT_MESSAGE_TIMEOUT_MS } = options;
    this.#maxHeldBytes = checked("maxHeldBytes", maxHeldBytes, Number.MAX_SAFE_INTEGER);
    this.#timeoutMs = checked("messageTimeoutMs", messageTimeoutMs, 3_600_000);
  }

  /** Watches over a body from now on. */
  enter(body: Arriving): void {
    this.#bodies.add(body);
    this.#arm();
  }

  /** It is there, or will never be. */
  leave(body: Arriving): void {
    this.#bodies.delete(body);
  }

  /** Counts bytes in or out. Throws RESOURCE_EXHAUSTED. */
  hold(bytes: number): void {
    if (bytes > 0 && this.#heldBytes + bytes > this.#maxHeldBytes) {
      throw richError({
        code: Code.ResourceExhausted,
        reason: "REQUESTS_TOO_LARGE",
        message: `requests of ${this.#maxHeldBytes} bytes are arriving, which is all that may`,
        retryDelayMs: RETRY_MS,
        quota: [{ subject: "mesh", description: `unfinished requests hold at most ${this.#maxHeldBytes} bytes` }],
      });
    }
    this.#heldBytes += bytes;
  }

  /** One timer looks after all: almost every body is there before it runs out. */
  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    setTimeout(
      () => {
        this.#armed = false;
        const lateMs = performance.now() - this.#timeoutMs;
        for (const body of this.#bodies) {
          if (body.sinceMs !== undefined && body.sinceMs <= lateMs) body.expire(tooSlow(this.#timeoutMs));
        }
        if (this.#bodies.size > 0) this.#arm();
      },
      Math.max(10, Math.min(1_000, this.#timeoutMs / 4)),
    ).unref();
  }
}

function tooSlow(timeoutMs: number): ConnectError {
  return richError({
    code: Code.DeadlineExceeded,
    reason: "REQUEST_TIMEOUT",
    message: `the request did not arrive within ${timeoutMs} ms`,
  });
}

function checked(name: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new RangeError(`${name} must be a whole number from 1 to ${max}, got ${value}`);
}
