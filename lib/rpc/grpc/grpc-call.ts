// One gRPC call on its HTTP/2 stream: its message in, its answer out, and how either may end early.
import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type StreamResponse } from "@connectrpc/connect";
import type { compressionGzip } from "@connectrpc/connect-node";
import { compressedFlag } from "@connectrpc/connect/protocol";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { explain } from "../interceptors/error-reasons.ts";
import type { CallGate, CallPass } from "../call-gate.ts";
import type { Arriving, Intake } from "../interceptors/intake.ts";
import { spellMessage } from "../interceptors/status-message.ts";
import { canPush, type MessageSender, type MessageSink, type PushedMessages } from "../pushed-messages.ts";
import { GrpcContext, GrpcRequest, type MakeValues, NO_HEADERS, outgoing, OVER } from "./grpc-request.ts";
import type { GrpcRoute } from "./grpc-route.ts";
import { httpDate } from "./http-date.ts";
import { MessageReader } from "./message-reader.ts";

/** A compression as Connect takes it. */
export type Compression = typeof compressionGzip;

/** What a call is made of. */
export interface GrpcCallOptions {
  readonly route: GrpcRoute;
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  /** How long it may take, in milliseconds; without a limit if undefined. */
  readonly timeoutMs: number | undefined;
  /** How the message is decompressed; null if it is not compressed. */
  readonly requestCompression: Decompression | null;
  /** How large answers are compressed; null for not at all. */
  readonly compression: AnswerCompression | null;
  readonly makeValues: MakeValues;
  /** Lets it in; undefined if all are. */
  readonly gate: CallGate | undefined;
  readonly intake: Intake;
  /** Where it stands while it is open. */
  readonly open: Set<GrpcCall>;
  readonly readMaxBytes: number;
}

interface AnswerCompression {
  readonly name: string;
  compress(bytes: Uint8Array): Promise<Uint8Array>;
}

interface Decompression {
  decompress(bytes: Uint8Array, readMaxBytes: number): Promise<Uint8Array>;
}

type Answered = Pick<StreamResponse, "header" | "trailer">;

/** Smaller answers are not worth the time. As Connect has it. */
const COMPRESS_FROM_BYTES = 1_024;
const HEAD_BYTES = 5;
const CONTENT_TYPE = "application/grpc+proto";
const OK: OutgoingHttpHeaders = { "grpc-status": "0" };
const { NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR } = constants;

/** A call from its headers to its end. What it does not need while an answer is awaited, it does not hold. */
export class GrpcCall implements Arriving, MessageSink<Message> {
  readonly #route: GrpcRoute;
  readonly #stream: ServerHttp2Stream;
  readonly #decompression: Decompression | null;
  readonly #compression: AnswerCompression | null;
  readonly #readMaxBytes: number;
  readonly #intake: Intake;
  readonly #open: Set<GrpcCall>;
  readonly #context: GrpcContext;
  #reader: MessageReader | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #sinceMs: number | undefined;
  #heldBytes = 0;
  #headersSent = false;
  #finished = false;
  readonly #gate: CallGate | undefined;
  /** Whether it is not let in yet, and whether its message was there before. */
  #waitsToEnter = false;
  #isComplete = false;
  #stopWatching: (() => void) | undefined;
  /** What pushes the answer, and the headers around it. */
  #sender: MessageSender | undefined;
  #pushed: Answered | undefined;
  #trailers: OutgoingHttpHeaders = OK;

  constructor(options: GrpcCallOptions) {
    const { route, stream, headers, timeoutMs, readMaxBytes } = options;
    const { method } = route;
    this.#route = route;
    this.#stream = stream;
    this.#decompression = options.requestCompression;
    this.#compression = options.compression;
    this.#readMaxBytes = readMaxBytes;
    this.#intake = options.intake;
    this.#open = options.open;
    this.#gate = options.gate;
    const deadlineMs = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
    const { makeValues } = options;
    this.#context = new GrpcContext({ method, headers, deadlineMs, connection: stream.session, makeValues });
    this.#reader = new MessageReader(readMaxBytes, method.methodKind === "unary" ? "unary" : "server-streaming");
    if (timeoutMs === 0) this.cancel(timedOut());
    else if (timeoutMs !== undefined) this.#deadline = setTimeout(() => this.cancel(timedOut()), timeoutMs);
  }

  /** Since when the message is awaited. */
  get sinceMs(): number | undefined {
    return this.#sinceMs;
  }

  /** Takes the request in, and answers it. */
  start(): void {
    const stream = this.#stream;
    this.#open.add(this);
    this.#sinceMs = performance.now();
    this.#intake.enter(this);
    // A write that races with the peer's leaving fails, which whoever wrote need not know.
    stream.on("error", ignore);
    stream.on("data", (piece: Uint8Array) => this.#take(piece));
    stream.on("end", () => this.#arrived());
    stream.on("wantTrailers", () => this.#sendTrailers());
    stream.on("close", () => this.#closed());
    if (this.#gate !== undefined) this.#enter(this.#gate);
  }

  /** Tells the implementation that its answer is not wanted any more; it decides how the call ends. */
  cancel(reason: unknown): void {
    this.#context.end(reason);
    this.#sender?.stop(reason);
  }

  /** The message did not arrive in time. */
  expire(error: ConnectError): void {
    this.#refuse(error);
  }

  /** Sends the next message of an answer that is pushed. */
  async send(message: Message): Promise<void> {
    if (this.#pushed === undefined || this.#finished) throw clientLeft();
    try {
      await this.#sendNext(this.#pushed, message);
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  /** An answer that is pushed is complete. */
  end(): void {
    try {
      if (this.#pushed !== undefined) this.#finish(this.#pushed);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends the call with an error. */
  fail(error: unknown): void {
    try {
      this.#fail(error);
    } catch {
      this.#stream.close(NGHTTP2_INTERNAL_ERROR);
    }
  }

  /** Shows itself at the gate. Its message is taken in meanwhile, and not looked at. */
  #enter(gate: CallGate): void {
    try {
      const pass = gate(this.#context);
      if (!(pass instanceof Promise)) {
        this.#letIn(pass);
        return;
      }
      this.#waitsToEnter = true;
      pass.then(
        (pass) => this.#letIn(pass),
        (error: unknown) => this.#refuse(error),
      );
    } catch (error) {
      this.#refuse(error);
    }
  }

  #letIn(pass: CallPass | undefined): void {
    this.#waitsToEnter = false;
    // It may have been refused for another reason, or its client have left.
    if (this.#sinceMs === undefined) return;
    this.#stopWatching = pass?.watch((reason) => this.#expel(reason));
    if (this.#isComplete) this.#arrived();
  }

  /** It may not go on. What it has begun is its implementation's to end, but nothing more of a stream is sent. */
  #expel(reason: ConnectError): void {
    if (this.#sinceMs === undefined && this.#route.method.methodKind === "unary") this.cancel(reason);
    else this.#refuse(reason);
  }

  #take(piece: Uint8Array): void {
    // What comes after a refusal is not looked at.
    if (this.#sinceMs === undefined) return;
    try {
      this.#intake.hold(piece.length);
      this.#heldBytes += piece.length;
      this.#reader?.add(piece);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #arrived(): void {
    this.#isComplete = true;
    if (this.#sinceMs === undefined || this.#reader === undefined || this.#waitsToEnter) return;
    const reader = this.#reader;
    this.#leaveIntake();
    this.#answer(reader).catch((error: unknown) => this.fail(error));
  }

  #refuse(error: unknown): void {
    this.#leaveIntake();
    this.fail(error);
  }

  #leaveIntake(): void {
    if (this.#sinceMs === undefined) return;
    this.#sinceMs = undefined;
    this.#reader = undefined;
    this.#intake.leave(this);
    this.#intake.hold(-this.#heldBytes);
    this.#heldBytes = 0;
  }

  #closed(): void {
    this.#open.delete(this);
    this.#leaveIntake();
    this.#over(this.#stream.rstCode === NGHTTP2_NO_ERROR ? OVER : clientLeft());
  }

  /** Nothing is left to do for the implementation, though the client may take its time to read. */
  #over(reason: unknown): void {
    clearTimeout(this.#deadline);
    this.#stopWatching?.();
    this.cancel(reason);
  }

  async #answer(reader: MessageReader): Promise<void> {
    const route = this.#route;
    const { flags, data } = reader.end();
    const message = route.parse((flags & compressedFlag) === 0 ? data : await this.#decompressed(data));
    const answer = await route.run(new GrpcRequest(this.#context, message));
    if (!answer.stream) {
      const data = route.serialize(answer.message);
      const envelope = this.#isLarge(data) ? await this.#compressed(data) : enveloped(0, data);
      if (!isGone(this.#stream)) this.#finish(answer, envelope);
    } else if (canPush(answer.message)) this.#push(answer, answer.message);
    else await this.#sendAll(answer);
  }

  async #decompressed(data: Uint8Array): Promise<Uint8Array> {
    if (this.#decompression === null) {
      throw new ConnectError("received compressed envelope, but do not know how to decompress", Code.Internal);
    }
    // It may have to wait for its turn.
    this.#intake.hold(data.length);
    try {
      return await this.#decompression.decompress(data, this.#readMaxBytes);
    } finally {
      this.#intake.hold(-data.length);
    }
  }

  #push({ header, trailer }: Answered, messages: PushedMessages<Message>): void {
    this.#context.forget();
    this.#pushed = { header, trailer };
    this.#sender = messages.pushTo(this);
    const { ended } = this.#context;
    if (ended !== undefined) this.#sender.stop(ended);
  }

  async #sendAll(answer: StreamResponse): Promise<void> {
    // A throw makes the implementation return.
    for await (const message of answer.message) await this.#sendNext(answer, message);
    if (!isGone(this.#stream)) this.#finish(answer);
  }

  async #sendNext(answer: Answered, message: Message): Promise<void> {
    const stream = this.#stream;
    try {
      if (isGone(stream) || this.#finished) throw clientLeft();
      // The implementation may add headers until its first message is there.
      this.#sendHeaders(answer);
      const data = this.#route.serialize(message);
      const envelope = this.#isLarge(data) ? await this.#compressed(data) : enveloped(0, data);
      if (!isGone(stream) && !stream.write(envelope)) await drained(stream);
      if (isGone(stream)) throw clientLeft();
    } catch (error) {
      // Before the implementation returns: whoever watches the call would think that all had been sent.
      this.#over(error);
      throw error;
    }
  }

  #isLarge(data: Uint8Array): boolean {
    return this.#compression !== null && data.length >= COMPRESS_FROM_BYTES;
  }

  async #compressed(data: Uint8Array): Promise<Uint8Array> {
    const compression = this.#compression;
    return compression === null ? enveloped(0, data) : enveloped(compressedFlag, await compression.compress(data));
  }

  #sendHeaders({ header }: Pick<Answered, "header">): void {
    if (this.#headersSent) return;
    this.#headersSent = true;
    this.#stream.respond(this.#headersWith(header), { waitForTrailers: true });
  }

  #headersWith(header: Headers): OutgoingHttpHeaders | readonly string[] {
    const encoding = this.#compression?.name;
    const added = outgoing(header);
    // A stream keeps what it is given: of a list 150 bytes, of an object 500. Only in an object, what is added replaces what is there.
    if (added === NO_HEADERS) {
      const list = [":status", "200", "content-type", CONTENT_TYPE, "date", httpDate()];
      return encoding === undefined ? list : [...list, "grpc-encoding", encoding];
    }
    const own: OutgoingHttpHeaders = { ":status": 200, "content-type": CONTENT_TYPE };
    return Object.assign(own, encoding === undefined ? {} : { "grpc-encoding": encoding }, added);
  }

  #finish(answer: Answered, last?: Uint8Array): void {
    if (this.#finished || isGone(this.#stream)) return;
    this.#sendHeaders(answer);
    this.#finished = true;
    this.#over(OVER);
    const added = outgoing(answer.trailer);
    if (added !== NO_HEADERS) this.#trailers = { ...added, ...OK };
    this.#stream.end(last);
  }

  #fail(error: unknown): void {
    this.#over(error);
    if (this.#finished || isGone(this.#stream)) return;
    this.#finished = true;
    const failure =
      error instanceof ConnectError
        ? error
        : new ConnectError("internal error", Code.Internal, undefined, undefined, error);
    explain(failure);
    const { responseHeader, responseTrailer } = this.#context;
    this.#trailers = {
      ...outgoing(setTrailerStatus(responseTrailer, failure)),
      "grpc-message": spellMessage(failure.rawMessage),
    };
    this.#sendHeaders({ header: responseHeader });
    this.#stream.end();
  }

  #sendTrailers(): void {
    const stream = this.#stream;
    if (isGone(stream)) return;
    stream.sendTrailers(this.#trailers);
    // An answer that comes before the end of its request would leave the stream half open for as long as the client likes.
    if (!stream.readableEnded) setImmediate(() => stream.close());
  }
}

/** What there is nothing to do about. */
function ignore(): void {}

function timedOut(): ConnectError {
  return new ConnectError("the operation timed out", Code.DeadlineExceeded);
}

function clientLeft(): ConnectError {
  return new ConnectError("the client left", Code.Canceled);
}

function enveloped(flags: number, data: Uint8Array): Uint8Array {
  const envelope = Buffer.allocUnsafe(HEAD_BYTES + data.length);
  envelope[0] = flags;
  envelope.writeUInt32BE(data.length, 1);
  envelope.set(data, HEAD_BYTES);
  return envelope;
}

/** Whether nothing can be written any more: the client has left, though not all of Node may know it. */
function isGone(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed;
}

/** Resolves when more can be written, or nothing ever again. */
function drained(stream: ServerHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.on("drain", done);
    stream.on("close", done);
  });
}
