// Bounds what request bodies may cost while they arrive: how long one message may take, and how many bytes all unfinished messages
// together may hold. It must not look into messages, nor bound how long a stream lasts.
import type { ConnectError } from "@connectrpc/connect";
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
      else
        source
          .next()
          .then((result) => resolve(this.#take(result)))
          .catch(reject);
    });
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.release();
    await this.#source?.return?.();
    return { done: true, value: undefined };
  }

  /** Gives back what was held. May be called again. */
  release(): void {
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

  #take(result: IteratorResult<Uint8Array>): IteratorResult<Uint8Array> {
    if (result.done === true) {
      this.release();
      return result;
    }
    const held = this.#enveloped ? this.#afterEnvelopes(result.value) : this.#heldBytes + result.value.length;
    this.#intake.hold(held - this.#heldBytes);
    this.#heldBytes = held;
    if (held === 0 && this.#silent) this.#sinceMs = undefined;
    else this.#sinceMs ??= performance.now();
    return result;
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
