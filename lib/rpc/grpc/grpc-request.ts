// A call as implementations and interceptors see it: Connect's context and request. What few of them ask for is made when they do.
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import type { Http2Session } from "node:http2";
import type { DescService, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, type HandlerContext } from "@connectrpc/connect";
import { CallHeaders } from "./call-headers.ts";
import type { OneMessageMethod } from "./grpc-route.ts";

/** What a finished call's signal gives as its reason: nothing went wrong. */
export const OVER: ConnectError = new ConnectError("the call is over", Code.Canceled);

const FORGOTTEN: IncomingHttpHeaders = {};

/** Makes the values that a call on a connection begins with; it is undefined if it is gone. */
export type MakeValues = (connection: Http2Session | undefined) => ContextValues;

/** What a context is made of. */
export interface GrpcContextOptions {
  readonly method: OneMessageMethod;
  readonly headers: IncomingHttpHeaders;
  /** On the monotonic clock. */
  readonly deadlineMs: number | undefined;
  readonly connection: Http2Session | undefined;
  /** Called when the values are asked for. */
  readonly makeValues: MakeValues;
}

/** The context of one call. */
export class GrpcContext implements HandlerContext {
  readonly method: OneMessageMethod;
  readonly responseHeader: Headers = new CallHeaders();
  readonly responseTrailer: Headers = new CallHeaders();
  readonly #deadlineMs: number | undefined;
  #headers: IncomingHttpHeaders;
  #requestHeader: Headers | undefined;
  readonly #connection: Http2Session | undefined;
  readonly #makeValues: MakeValues;
  #values: ContextValues | undefined;
  #controller: AbortController | undefined;
  #ended: unknown;

  constructor({ method, headers, deadlineMs, connection, makeValues }: GrpcContextOptions) {
    this.method = method;
    this.#headers = headers;
    this.#deadlineMs = deadlineMs;
    this.#connection = connection;
    this.#makeValues = makeValues;
  }

  get service(): DescService {
    return this.method.parent;
  }

  get requestMethod(): string {
    return "POST";
  }

  get protocolName(): string {
    return "grpc";
  }

  get url(): string {
    const { ":authority": authority, ":path": path } = this.#headers;
    // What the client calls its scheme is about the way to a proxy, if anything.
    return new URL(String(path), `http://${String(authority)}`).toString();
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#ended !== undefined) this.#controller.abort(this.#ended);
    }
    return this.#controller.signal;
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= new CallHeaders(this.#headers);
    return this.#requestHeader;
  }

  get values(): ContextValues {
    this.#values ??= this.#makeValues(this.#connection);
    return this.#values;
  }

  timeoutMs(): number | undefined {
    return this.#deadlineMs === undefined ? undefined : this.#deadlineMs - performance.now();
  }

  /** Why the call ended; undefined while it goes on. */
  get ended(): unknown {
    return this.#ended;
  }

  /** Lets go of what the client sent, which a call that lasts need not hold: half a KiB. Its URL, headers and values are gone then. */
  forget(): void {
    this.#values = undefined;
    this.#headers = FORGOTTEN;
    this.#requestHeader = undefined;
  }

  /** Ends the call: its signal aborts with this reason. */
  end(reason: unknown): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#controller?.abort(reason);
  }
}

/** The request of one call. `message` is one message, or where answers are streamed, an iterable with one. */
export class GrpcRequest {
  readonly call: GrpcContext;
  readonly stream: boolean;
  readonly message: Message | AsyncIterable<Message>;

  constructor(call: GrpcContext, message: Message) {
    this.call = call;
    this.stream = call.method.methodKind !== "unary";
    this.message = this.stream ? new Alone(message) : message;
  }

  /** What an interceptor passed on, which must be what it was given. */
  static from(request: unknown): GrpcRequest {
    if (request instanceof GrpcRequest) return request;
    throw new TypeError("interceptors must pass on the request that they are given");
  }

  get method(): OneMessageMethod {
    return this.call.method;
  }

  get service(): DescService {
    return this.call.service;
  }

  get requestMethod(): string {
    return this.call.requestMethod;
  }

  get url(): string {
    return this.call.url;
  }

  get signal(): AbortSignal {
    return this.call.signal;
  }

  get header(): Headers {
    return this.call.requestHeader;
  }

  get contextValues(): ContextValues {
    return this.call.values;
  }
}

/** One message as an iterable, which lets go of it when it is taken: the answers may take hours. */
class Alone implements AsyncIterableIterator<Message> {
  #message: Message | undefined;

  constructor(message: Message) {
    this.#message = message;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Message>> {
    const value = this.#message;
    this.#message = undefined;
    return Promise.resolve(value === undefined ? { done: true, value } : { done: false, value });
  }
}

/** Of a connection rather than a call, as an error that is passed on may have them: Node throws for these. */
const OF_CONNECTIONS: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

/** What {@link outgoing} makes of none. */
export const NO_HEADERS: OutgoingHttpHeaders = {};

/** Headers as Node sends them. */
export function outgoing(headers: Headers): OutgoingHttpHeaders {
  if (headers instanceof CallHeaders && headers.areNone) return NO_HEADERS;
  const sent: OutgoingHttpHeaders = {};
  const plain = headers instanceof CallHeaders ? headers.plain : undefined;
  for (const [name, value] of plain ?? headers) {
    // The one header that may come several times.
    if (name === "set-cookie") sent[name] = headers.getSetCookie();
    else if (!OF_CONNECTIONS.has(name)) sent[name] = value;
  }
  return sent;
}
