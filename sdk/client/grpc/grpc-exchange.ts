// One call on its HTTP/2 stream: a request of one piece out, messages in, and how either may end early. Knows nothing of what is in them.
import { constants, type ClientHttp2Stream, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Http2SessionManager } from "@connectrpc/connect-node";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import type { CallLife } from "./call-life.ts";
import { type Envelope, MessageSplitter } from "./message-splitter.ts";
import { failureOf, isReset, resetFailure } from "./stream-failure.ts";

/** Takes what comes. What it throws ends the call. */
export interface Receiver {
  /** The headers of the answer, before everything else. */
  head(headers: IncomingHttpHeaders): void;
  message(envelope: Envelope): void;
  /** Nothing more comes. */
  end(trailers: IncomingHttpHeaders): void;
  /** The call failed; nothing more comes. */
  fail(failure: ConnectError): void;
  /** Whether it wants no more for now. */
  readonly full: boolean;
}

/** What an exchange is made of. */
export interface ExchangeOptions {
  readonly session: Http2SessionManager;
  readonly life: CallLife;
  readonly receiver: Receiver;
  /** The largest message, in bytes. */
  readonly readMaxBytes: number;
}

/** An exchange. */
export class GrpcExchange {
  readonly #options: ExchangeOptions;
  readonly #splitter: MessageSplitter;
  #stream: ClientHttp2Stream | undefined;
  #trailers: IncomingHttpHeaders | undefined;
  /** Whether the status is there: nothing else is missing when the stream ends. */
  #complete = false;
  #over = false;
  /** Lets go of a signal that outlives the call. */
  #unlink: (() => void) | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#splitter = new MessageSplitter(options.readMaxBytes);
  }

  /** Sends the request. What becomes of it, the receiver hears. */
  async send(path: string, headers: OutgoingHttpHeaders, body: Uint8Array): Promise<void> {
    const { session, life } = this.#options;
    life.onCut((failure) => this.fail(failure));
    if (this.#over) return;
    try {
      const stream = await session.request("POST", path, headers, {});
      this.#follow(stream);
      // With its end: headers, message and end leave in one write.
      if (!this.#over) stream.end(body);
    } catch (error) {
      this.fail(failureOf(error));
    }
  }

  /** Goes on with a receiver that was full. */
  resume(): void {
    if (this.#stream?.isPaused() === true) this.#stream.resume();
  }

  /** Ends the call early when a signal says so. */
  endWith(signal: AbortSignal): void {
    if (this.#over) return;
    const end = (): void => this.fail(ConnectError.from(getAbortSignalReason(signal), Code.Canceled));
    if (signal.aborted) end();
    else {
      signal.addEventListener("abort", end);
      this.#unlink = () => signal.removeEventListener("abort", end);
    }
  }

  /** Ends the call early. */
  fail(failure: ConnectError): void {
    if (this.#over) return;
    this.#finish();
    if (this.#stream !== undefined) reset(this.#stream, failure);
    this.#options.receiver.fail(failure);
  }

  #follow(stream: ClientHttp2Stream): void {
    const { receiver, session } = this.#options;
    this.#stream = stream;
    stream.on("error", (error: Error) => {
      // An answer may come before all of its request was sent.
      if (!(stream.writableEnded && "code" in error && error.code === "ERR_STREAM_WRITE_AFTER_END")) {
        this.fail(failureOf(error));
      }
    });
    if (this.#over) {
      reset(stream, new ConnectError("left", Code.Canceled));
      return;
    }
    stream.once("response", (headers) => {
      this.#complete = headers["grpc-status"] !== undefined;
      this.#try(() => receiver.head(headers));
    });
    stream.on("data", (piece: Uint8Array) => {
      // Keeps it from being pinged.
      session.notifyResponseByteRead(stream);
      this.#try(() => {
        for (const envelope of this.#splitter.add(piece)) receiver.message(envelope);
      });
      if (receiver.full) stream.pause();
    });
    stream.once("trailers", (trailers) => {
      this.#trailers = trailers;
      this.#complete = true;
    });
    // Node ends a stream whose connection broke as it ends any other; only how it is closed tells.
    let ended = false;
    stream.once("end", () => {
      ended = true;
      if (this.#complete) this.#try(() => this.#end());
    });
    stream.once("close", () => {
      if (ended && !isReset(stream.rstCode)) this.#try(() => this.#end());
      else this.fail(resetFailure(stream.rstCode));
    });
  }

  #end(): void {
    if (this.#splitter.incomplete) {
      throw new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument);
    }
    this.#options.receiver.end(this.#trailers ?? {});
    this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#unlink?.();
  }

  #try(work: () => void): void {
    if (this.#over) return;
    try {
      work();
    } catch (error) {
      this.fail(ConnectError.from(error));
    }
  }
}

/** Tells the server that its answer is not wanted any more. */
function reset(stream: ClientHttp2Stream, { code }: ConnectError): void {
  const left = code === Code.Canceled || code === Code.DeadlineExceeded;
  if (!stream.closed) stream.close(left ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_INTERNAL_ERROR);
  // A stream with data that nobody reads stays for as long as its connection otherwise. Not at once: its reset has to be sent.
  setImmediate(() => stream.destroy());
}
