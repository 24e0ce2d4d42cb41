// Makes the same unary gRPC call many times over one connection, for less than any server spends on answering: a request is bytes made
// beforehand, and of an answer only the outlines are read. A client of a library's would be as busy as what it measures.

import { connect, type Socket } from "node:net";
import { envelope, FLAG, FRAME, frame, grpcHeaders, PREFACE } from "../../tests/support/raw-http2.ts";

/** A call that can be repeated. */
export interface UnaryCall {
  /** The server: `http://127.0.0.1:7400`. Without TLS. */
  readonly url: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  /** The request, encoded. At most {@link MAX_MESSAGE_BYTES}. */
  readonly message: Uint8Array;
}

/** How often to call. */
export interface CallAmounts {
  readonly calls: number;
  /** How many calls are unanswered at a time, at most; from 1. */
  readonly concurrency: number;
}

const FRAME_HEAD_BYTES = 9;
const ENVELOPE_BYTES = 5;
/** What one frame holds: every server must take frames of 16 KiB. */
export const MAX_MESSAGE_BYTES: number = 16_384 - ENVELOPE_BYTES;
const DEFAULT_WINDOW_BYTES = 65_535;
/** All answers together may be as long as this, so that no answer is ever held up. */
const ANSWERS_BYTES = 2 ** 31 - 1 - DEFAULT_WINDOW_BYTES;
const SILENCE_MS = 10_000;

/**
 * Calls over and over; gives the milliseconds from the first request to the last answer. Rejects with one line when a call was not
 * answered well, when the connection ended, and after 10 s of silence.
 */
export async function callMany(call: UnaryCall, amounts: CallAmounts): Promise<number> {
  const { hostname, port } = new URL(call.url);
  const socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  socket.setTimeout(SILENCE_MS);
  try {
    return await new Calls(socket, call, amounts).done;
  } finally {
    socket.destroy();
  }
}

class Calls {
  /** Milliseconds from the first request to the last answer. */
  readonly done: Promise<number>;
  readonly #socket: Socket;
  readonly #path: string;
  readonly #amounts: CallAmounts;
  readonly #request: Buffer;
  /** Where the number of the stream stands in the request's second frame. */
  readonly #secondStreamAt: number;
  readonly #bodyBytes: number;
  readonly #over = Promise.withResolvers<number>();
  /** Streams that have received a message and not yet ended. */
  readonly #withMessage = new Set<number>();
  #unread: Buffer = Buffer.alloc(0);
  #window = DEFAULT_WINDOW_BYTES;
  #startMs = 0;
  #sent = 0;
  #answered = 0;

  constructor(socket: Socket, { path, message }: UnaryCall, amounts: CallAmounts) {
    this.done = this.#over.promise;
    this.#socket = socket;
    this.#path = path;
    this.#amounts = amounts;
    const headers = frame(FRAME.headers, FLAG.endHeaders, 0, grpcHeaders(path));
    const body = envelope(message);
    this.#request = Buffer.concat([headers, frame(FRAME.data, FLAG.endStream, 0, body)]);
    this.#secondStreamAt = headers.length + 5;
    this.#bodyBytes = body.length;
    socket.on("error", (error) => this.#fail(error.message));
    socket.on("close", () => this.#fail("the connection ended"));
    socket.on("timeout", () => this.#fail(`nothing came for ${SILENCE_MS / 1_000} s`));
    socket.on("data", (chunk) => this.#read(chunk));
    const moreAnswers = Buffer.alloc(4);
    moreAnswers.writeUInt32BE(ANSWERS_BYTES);
    socket.write(Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0), frame(FRAME.windowUpdate, 0, 0, moreAnswers)]));
  }

  #read(chunk: Buffer): void {
    const bytes = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      this.#take(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, bytes.readUInt32BE(at + 5), bytes, at + FRAME_HEAD_BYTES, end);
      at = end;
    }
    this.#unread = bytes.subarray(at);
    if (this.#answered === this.#amounts.calls) this.#over.resolve(performance.now() - this.#startMs);
    else if (this.#startMs > 0) this.#send();
  }

  #take(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void {
    if (type === FRAME.data && end - start >= ENVELOPE_BYTES) this.#withMessage.add(stream);
    else if (type === FRAME.windowUpdate && stream === 0) this.#window += bytes.readUInt32BE(start);
    else if (type === FRAME.rstStream) this.#fail(`a call was broken off with code ${bytes.readUInt32BE(start)}`);
    else if (type === FRAME.goaway) this.#fail(`the server went away with code ${bytes.readUInt32BE(start + 4)}`);
    else if (type === FRAME.ping && (flags & FLAG.ack) === 0) {
      this.#socket.write(frame(FRAME.ping, FLAG.ack, 0, bytes.subarray(start, end)));
    } else if (type === FRAME.settings && (flags & FLAG.ack) === 0) {
      this.#socket.write(frame(FRAME.settings, FLAG.ack, 0));
      // The server works: from now on it counts.
      if (this.#startMs === 0) this.#startMs = performance.now();
    }
    if (type === FRAME.headers && (flags & FLAG.endStream) !== 0) this.#ended(stream);
    if (type === FRAME.data && (flags & FLAG.endStream) !== 0) this.#fail("an answer ended without a status");
  }

  /** An error has no message in gRPC, so that nothing else of an answer need be read. */
  #ended(stream: number): void {
    if (!this.#withMessage.delete(stream)) this.#fail("a call was refused");
    this.#answered += 1;
  }

  /** All that may be sent now, in one write. */
  #send(): void {
    const { calls, concurrency } = this.#amounts;
    const room = Math.floor(this.#window / this.#bodyBytes);
    const count = Math.min(calls - this.#sent, concurrency - (this.#sent - this.#answered), room);
    if (count <= 0) return;
    const size = this.#request.length;
    const requests = Buffer.allocUnsafe(count * size);
    for (let at = 0; at < requests.length; at += size) {
      const stream = 2 * this.#sent + 1;
      this.#request.copy(requests, at);
      requests.writeUInt32BE(stream, at + 5);
      requests.writeUInt32BE(stream, at + this.#secondStreamAt);
      this.#sent += 1;
    }
    this.#window -= count * this.#bodyBytes;
    this.#socket.write(requests);
  }

  #fail(reason: string): void {
    this.#over.reject(new Error(`${this.#path}: ${reason}`));
  }
}
