// Bounds what request bodies may cost while they arrive: how long one message may take, and how many bytes all unfinished messages
// together may hold. It must not look into messages, nor bound how long a stream lasts.
import type { ConnectError } from "@connectrpc/connect";
import { GrowingBytes } from "../growing-bytes.ts";
import type { HttpHandler, HttpRequest } from "../http-handler.ts";
import type { Arriving, Intake } from "./intake.ts";

/** Options of {@link withBodyLimits}. */
export interface BodyLimits {
  /** Where all bodies are counted. */
  readonly intake: Intake;
  /** Paths of the calls whose clients may be silent between messages: those that stream. */
  readonly clientStreams: ReadonlySet<string>;
}

/** Flags and length in front of every message of a stream, in gRPC, gRPC-Web and Connect alike. */
const ENVELOPE_BYTES = 5;

/** Wraps a handler. */
export function withBodyLimits(handler: HttpHandler, { intake, clientStreams }: BodyLimits): HttpHandler {
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const body = new Body(intake, request, clientStreams.has(path));
    Object.defineProperty(request, Symbol.asyncIterator, { value: () => body });
    response.once("close", () => body.release());
    closeWhenAnswered(request);
    handler(request, response);
  };
}

/** An answer that comes before the end of an HTTP/2 request would leave its stream half open for as long as the client likes. */
function closeWhenAnswered(request: HttpRequest): void {
  if (!("stream" in request)) return;
  const { stream } = request;
  // The last thing that an answer needs; a stream that is closed any sooner loses its trailers.
  stream.once("wantTrailers", () => {
    setImmediate(() => {
      if (!request.complete) stream.close();
    });
  });
}

/** One body, as the handler reads it. */
class Body implements AsyncIterableIterator<Uint8Array>, Arriving {
  readonly #intake: Intake;
  readonly #request: HttpRequest;
  readonly #enveloped: boolean;
  readonly #silent: boolean;
  #source: AsyncIterator<Uint8Array> | undefined;
  #reject: ((error: unknown) => void) | undefined;
  /** Since when a message is awaited; undefined between messages. */
  #sinceMs: number | undefined;
  #heldBytes = 0;
  #released = false;
  /** What is not handed on yet. */
  readonly #waiting = new GrowingBytes();
  /** How many bytes are still missing of the envelope at hand, and what is there of its head. */
  #missing = 0;
  #head: number[] = [];

  constructor(intake: Intake, request: HttpRequest, silent: boolean) {
    this.#intake = intake;
    this.#request = request;
    this.#silent = silent;
    this.#enveloped = /^application\/(?:grpc|connect\+)/i.test(request.headers["content-type"] ?? "");
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#source === undefined) {
      // The request has an iterator of its own, which this one stands before.
      this.#source = Object.getPrototypeOf(this.#request)[Symbol.asyncIterator].call(this.#request);
      this.#sinceMs = this.#silent ? undefined : performance.now();
      this.#intake.enter(this);
    }
    const source = this.#source;
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      if (source === undefined) reject(new Error("the request has no body"));
      else this.#gather(source).then(resolve, reject);
    });
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.release();
    await this.#source?.return?.();
    return { done: true, value: undefined };
  }

  /** Gives back what was held. May be called again; what still comes is not counted. */
  release(): void {
    this.#released = true;
    this.#intake.leave(this);
    this.#intake.hold(-this.#heldBytes);
    this.#heldBytes = 0;
    this.#reject = undefined;
  }

  get sinceMs(): number | undefined {
    return this.#sinceMs;
  }

  /** Fails whoever waits for a message. */
  expire(error: ConnectError): void {
    this.#reject?.(error);
  }

  /** The next piece for the handler: what arrived, or as much of it as is worth its while. */
  async #gather(source: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const result = await source.next();
      if (result.done === true) {
        if (this.#waiting.length > 0) return { done: false, value: this.#waiting.take() };
        this.release();
        return result;
      }
      const piece = result.value;
      this.#count(piece);
      const alone = this.#waiting.length === 0;
      if (alone && this.#isDue(piece.length)) return result;
      this.#waiting.add(piece);
      if (!alone && this.#isDue(this.#waiting.length)) return { done: false, value: this.#waiting.take() };
    }
  }

  /**
   * Connect copies what it has of a message with every piece of it: a minute of processor time for 200,000 pieces of one byte. So it gets
   * the rest of a message, or else as much as it has already; and at once what it needs to see how large the message is.
   */
  #isDue(waitingBytes: number): boolean {
    return this.#heldBytes <= ENVELOPE_BYTES || 2 * waitingBytes >= this.#heldBytes;
  }

  #count(piece: Uint8Array): void {
    if (this.#released) return;
    const held = this.#enveloped ? this.#afterEnvelopes(piece) : this.#heldBytes + piece.length;
    this.#intake.hold(held - this.#heldBytes);
    this.#heldBytes = held;
    if (held === 0 && this.#silent) this.#sinceMs = undefined;
    else this.#sinceMs ??= performance.now();
  }

  /** How many bytes of an unfinished envelope are there after a piece. Finished ones are the handler's, who reads on only then. */
  #afterEnvelopes(piece: Uint8Array): number {
    let held = this.#heldBytes;
    for (let at = 0; at < piece.length;) {
      if (this.#missing === 0) {
        this.#head.push(piece[at] ?? 0);
        at += 1;
        held += 1;
        if (this.#head.length < ENVELOPE_BYTES) continue;
        this.#missing = Buffer.from(this.#head).readUInt32BE(1);
        this.#head = [];
      } else {
        const taken = Math.min(this.#missing, piece.length - at);
        at += taken;
        held += taken;
        this.#missing -= taken;
      }
      if (this.#missing === 0) held = 0;
    }
    return held;
  }
}
