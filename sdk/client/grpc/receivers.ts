// What comes back in a call, for whoever made it: one message, or one after the other. A failure of the life of the call ends both.
import type { IncomingHttpHeaders } from "node:http2";
import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { compressedFlag } from "@connectrpc/connect/protocol";
import { headersFrom } from "../../../lib/rpc/grpc/node-headers.ts";
import { type AnswerHead, type Compression, checkTrailers, missingMessage, readHead } from "./answer-head.ts";
import type { CallLife } from "./call-life.ts";
import type { Receiver } from "./grpc-exchange.ts";
import type { Envelope } from "./message-splitter.ts";

/** How many bytes of messages wait for their reader before the server has to. */
const FULL_BYTES = 65_536;

/** How messages are read. */
export interface Reading {
  readonly parse: (data: Uint8Array) => Message;
  /** The largest message once it is decompressed, in bytes. */
  readonly readMaxBytes: number;
}

/** What an answer holds beside its messages. */
export class AnswerFrame {
  headers: IncomingHttpHeaders = {};
  trailers: IncomingHttpHeaders = {};
  #header: Headers | undefined;
  #trailer: Headers | undefined;

  /** The headers; made when somebody asks for them. */
  get header(): Headers {
    return (this.#header ??= headersFrom(this.headers));
  }

  /** The trailers. */
  get trailer(): Headers {
    return (this.#trailer ??= headersFrom(this.trailers));
  }
}

/** Takes the answer of a call that has one message. */
export class OneMessage extends AnswerFrame implements Receiver {
  readonly full = false;
  readonly #reading: Reading;
  readonly #settled = Promise.withResolvers<Message>();
  #head: AnswerHead | undefined;
  #message: Message | Promise<Message> | undefined;

  constructor(reading: Reading) {
    super();
    this.#reading = reading;
  }

  /** Resolves with the message once the whole answer is there. */
  get answered(): Promise<Message> {
    return this.#settled.promise;
  }

  head(headers: IncomingHttpHeaders): void {
    this.headers = headers;
    this.#head = readHead(headers);
  }

  message(envelope: Envelope): void {
    if (this.#message !== undefined) {
      throw new ConnectError("protocol error: received extra output message for unary method", Code.Unimplemented);
    }
    this.#message = read(envelope, this.#head?.compression, this.#reading);
    // Told at the end.
    if (this.#message instanceof Promise) this.#message.catch(() => undefined);
  }

  end(trailers: IncomingHttpHeaders): void {
    this.trailers = trailers;
    if (this.#message instanceof Promise) {
      void this.#message.then((message) => this.#settle(message)).catch(this.#settled.reject);
    } else this.#settle(this.#message);
  }

  fail(failure: ConnectError): void {
    this.#settled.reject(failure);
  }

  #settle(message: Message | undefined): void {
    const { foundStatus = false, error } = this.#head ?? {};
    if (!foundStatus) checkTrailers(this.headers, this.trailers);
    if (message === undefined) throw error ?? missingMessage(this.trailers);
    if (error !== undefined) {
      throw new ConnectError(
        "protocol error: received output message for unary method with error status",
        Code.Unknown,
      );
    }
    this.#settled.resolve(message);
  }
}

/** Takes the answer of a call that has many messages, and gives them to one reader. */
export class ManyMessages extends AnswerFrame implements Receiver, AsyncIterable<Message>, AsyncIterator<Message> {
  readonly #reading: Reading;
  readonly #life: CallLife;
  readonly #opened = Promise.withResolvers<void>();
  readonly #trailer = new Headers();
  #head: AnswerHead | undefined;
  /** What nobody has taken yet, with how many bytes it had. */
  #held: { readonly message: Message | Promise<Message>; readonly bytes: number }[] = [];
  #heldBytes = 0;
  #waiting: PromiseWithResolvers<IteratorResult<Message>>[] = [];
  #last: { readonly failure: ConnectError | undefined } | undefined;
  /** Called when there is room again. */
  onRoom: () => void = () => undefined;

  constructor(reading: Reading, life: CallLife) {
    super();
    this.#reading = reading;
    this.#life = life;
  }

  /** Resolves when the headers of the answer are there. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  get full(): boolean {
    return this.#heldBytes >= FULL_BYTES;
  }

  /** Empty until the call is over. */
  override get trailer(): Headers {
    return this.#trailer;
  }

  head(headers: IncomingHttpHeaders): void {
    this.headers = headers;
    this.#head = readHead(headers);
    if (this.#head.error !== undefined) throw this.#head.error;
    this.#opened.resolve();
  }

  message(envelope: Envelope): void {
    const message = read(envelope, this.#head?.compression, this.#reading);
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve(this.#result(message));
      return;
    }
    // Whoever takes it hears of its failure.
    if (message instanceof Promise) message.catch(() => undefined);
    this.#held.push({ message, bytes: envelope.data.length });
    this.#heldBytes += envelope.data.length;
  }

  end(trailers: IncomingHttpHeaders): void {
    this.trailers = trailers;
    for (const [name, value] of headersFrom(trailers)) this.#trailer.set(name, value);
    if (this.#head?.foundStatus !== true) checkTrailers(this.headers, trailers);
    this.#end(undefined);
  }

  fail(failure: ConnectError): void {
    this.#opened.reject(failure);
    // Whoever has left gets nothing more; of a call that broke, what came before.
    if (this.#life.failure !== undefined) this.#drop();
    this.#end(failure);
  }

  [Symbol.asyncIterator](): AsyncIterator<Message> {
    return this;
  }

  next(): Promise<IteratorResult<Message>> {
    // Also when the whole answer was there before its reader left.
    if (this.#life.failure !== undefined) {
      this.#drop();
      return Promise.reject(this.#life.failure);
    }
    const held = this.#held.shift();
    if (held !== undefined) {
      this.#heldBytes -= held.bytes;
      if (this.#heldBytes === 0) this.onRoom();
      return Promise.resolve(this.#result(held.message));
    }
    if (this.#last !== undefined) return this.#finish(this.#last.failure);
    const waiting = Promise.withResolvers<IteratorResult<Message>>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  #result(message: Message | Promise<Message>): IteratorResult<Message> | Promise<IteratorResult<Message>> {
    if (!(message instanceof Promise)) return { done: false, value: message };
    return message.then(
      (value) => ({ done: false, value }),
      (error: unknown) => Promise.reject(this.#life.fail(error)),
    );
  }

  #end(failure: ConnectError | undefined): void {
    if (this.#last !== undefined) return;
    this.#last = { failure };
    for (const { resolve } of this.#waiting.splice(0)) resolve(this.#finish(failure));
  }

  #finish(failure: ConnectError | undefined): Promise<IteratorResult<Message>> {
    if (failure !== undefined) return Promise.reject(this.#life.fail(failure));
    this.#life.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  #drop(): void {
    this.#held = [];
    this.#heldBytes = 0;
  }
}

/** Reads a message; a compressed one later. */
function read(
  { flags, data }: Envelope,
  compression: Compression | undefined,
  { parse, readMaxBytes }: Reading,
): Message | Promise<Message> {
  if ((flags & compressedFlag) === 0) return parse(data);
  if (compression === undefined) {
    throw new ConnectError("received compressed envelope, but do not know how to decompress", Code.Internal);
  }
  return compression.decompress(data, readMaxBytes).then(parse);
}
