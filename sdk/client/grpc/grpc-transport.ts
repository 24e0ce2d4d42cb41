// gRPC calls that send one message, right on their HTTP/2 streams: a Transport that behaves as Connect's own does, which takes several
// times as long for a call, most of it for iterators and signals that nobody looks at. Calls whose client streams are left to Connect's.
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type Transport,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { compressionGzip, type Http2SessionManager } from "@connectrpc/connect-node";
import { compressedFlag, createMethodSerializationLookup, createMethodUrl } from "@connectrpc/connect/protocol";
import { CallLife } from "./call-life.ts";
import { GrpcExchange, type Receiver } from "./grpc-exchange.ts";
import { enveloped, HEAD_BYTES, withHead } from "./message-splitter.ts";
import { ManyMessages, OneMessage, type Reading } from "./receivers.ts";
import { createRequestHeaders, type OwnHeaders, outgoing, type RequestHeaders } from "./request-headers.ts";

/** What the transport needs. */
export interface GrpcTransportOptions {
  readonly baseUrl: string;
  readonly session: Http2SessionManager;
  /** Headers of every request. */
  readonly headers: Readonly<Record<string, string>>;
  readonly interceptors: readonly Interceptor[];
  /** Encodes what it knows better than the library how to, with so many bytes of room in front. */
  readonly encode?: (request: Message, room: number) => Uint8Array | undefined;
  /** From how many bytes a message is compressed; Infinity for never. */
  readonly compressFromBytes: number;
  /** Makes the calls whose client streams, with interceptors and headers of its own. */
  readonly clientStreams: Transport;
}

/** As Connect has it: no limit but that of the envelope. */
const MAX_BYTES = 0xffffffff;

type AnyFn = ReturnType<Interceptor>;
type AnyRequest = UnaryRequest | StreamRequest;

/** What is known of a method before it is called. */
interface Route extends Reading {
  readonly method: DescMethod;
  readonly url: string;
  readonly path: string;
  /** Encodes a message, with its head. */
  readonly envelope: (message: Message) => Uint8Array;
}

/** One call on its way through the interceptors. */
interface Call {
  readonly route: Route;
  readonly life: CallLife;
  readonly headers: RequestHeaders;
  readonly values: ContextValues | undefined;
}

/** Makes the transport. */
export function createGrpcTransport(options: GrpcTransportOptions): Transport {
  return new GrpcTransport(options);
}

class GrpcTransport implements Transport {
  readonly #options: GrpcTransportOptions;
  readonly #origin: string;
  readonly #headersOf: ReturnType<typeof createRequestHeaders>;
  readonly #routes = new Map<DescMethod, Route>();

  constructor(options: GrpcTransportOptions) {
    this.#options = options;
    this.#origin = new URL(options.baseUrl).origin;
    this.#headersOf = createRequestHeaders(options.headers);
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: OwnHeaders,
    input: MessageInitShape<I>,
    values?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    const call = this.#call(method, signal, timeoutMs, header, values);
    try {
      const request = Object.assign(requestOf(call), { stream: false, message: create(method.input, input) });
      const response = await this.#run(request, (sent) => this.#unary(call, request, sent));
      call.life.end();
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the response of this method
      return response as UnaryResponse<I, O>;
    } catch (error) {
      throw call.life.fail(error);
    }
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: OwnHeaders,
    input: AsyncIterable<MessageInitShape<I>>,
    values?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    if (method.methodKind !== "server_streaming") {
      return await this.#options.clientStreams.stream(method, signal, timeoutMs, header, input, values);
    }
    const call = this.#call(method, signal, timeoutMs, header, values);
    try {
      const request = Object.assign(requestOf(call), { stream: true, message: normal(method.input, input) });
      const response = await this.#run(request, (sent) => this.#stream(call, request, sent));
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the response of this method
      return ended(response as StreamResponse<I, O>, call.life);
    } catch (error) {
      throw call.life.fail(error);
    }
  }

  #call(
    method: DescMethod,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: OwnHeaders,
    values: ContextValues | undefined,
  ): Call {
    const limitMs = timeoutMs === undefined || timeoutMs <= 0 ? undefined : timeoutMs;
    const life = new CallLife(signal, limitMs);
    return { route: this.#routeOf(method), life, headers: this.#headersOf(header, limitMs), values };
  }

  #run(request: object, last: AnyFn): ReturnType<AnyFn> {
    const first = this.#options.interceptors.reduceRight<AnyFn>((next, interceptor) => interceptor(next), last);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it has all that a request of its kind has
    return first(request as AnyRequest);
  }

  async #unary(call: Call, made: object, request: AnyRequest): Promise<UnaryResponse> {
    const { route } = call;
    const answer = new OneMessage(route);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the request of a unary method
    const body = route.envelope(request.message as Message);
    this.#send(call, answer, made, request, this.#isLarge(body) ? await compressed(body) : body);
    const message = await answer.answered;
    const { method } = route;
    return {
      stream: false,
      service: method.parent,
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is called as a unary one
      method: method as DescMethodUnary,
      message,
      get header() {
        return answer.header;
      },
      get trailer() {
        return answer.trailer;
      },
    };
  }

  async #stream(call: Call, made: object, request: AnyRequest): Promise<StreamResponse> {
    const { route, life } = call;
    const answer = new ManyMessages(route, life);
    const bodies: Uint8Array[] = [];
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the request of a streaming method
    for await (const message of request.message as AsyncIterable<Message>) {
      const body = route.envelope(message);
      bodies.push(this.#isLarge(body) ? await compressed(body) : body);
    }
    const exchange = this.#send(call, answer, made, request, Buffer.concat(bodies));
    answer.onRoom = () => exchange.resume();
    await answer.opened;
    const { method } = route;
    return {
      stream: true,
      service: method.parent,
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is called as a streaming one
      method: method as DescMethodStreaming,
      message: answer,
      header: answer.header,
      trailer: answer.trailer,
    };
  }

  /** Sends a request: the one that was made, or what an interceptor made of it. */
  #send(call: Call, receiver: Receiver, made: object, request: AnyRequest, body: Uint8Array): GrpcExchange {
    const { route, life, headers } = call;
    const path = this.#pathOf(route, request);
    const exchange = new GrpcExchange({ session: this.#options.session, life, receiver, readMaxBytes: MAX_BYTES });
    const same = request === made;
    const plain = same ? headers.outgoing : outgoing(request.header);
    void exchange.send(path, isCompressed(body) ? { ...plain, "grpc-encoding": compressionGzip.name } : plain, body);
    if (!same && request.signal !== life.signal) exchange.endWith(request.signal);
    return exchange;
  }

  #isLarge(envelope: Uint8Array): boolean {
    return envelope.length - HEAD_BYTES >= this.#options.compressFromBytes;
  }

  #routeOf(method: DescMethod): Route {
    const known = this.#routes.get(method);
    if (known !== undefined) return known;
    const limits = { readMaxBytes: MAX_BYTES, writeMaxBytes: MAX_BYTES };
    const lookup = createMethodSerializationLookup(method, undefined, undefined, limits);
    const url = createMethodUrl(this.#options.baseUrl, method);
    const input = lookup.getI(true);
    const output = lookup.getO(true);
    const route: Route = {
      method,
      url,
      path: pathIn(url),
      readMaxBytes: MAX_BYTES,
      envelope: (message) => {
        const encoded = this.#options.encode?.(message, HEAD_BYTES);
        return encoded === undefined ? enveloped(input.serialize(message)) : withHead(encoded);
      },
      parse: (data) => output.parse(data),
    };
    this.#routes.set(method, route);
    return route;
  }

  /** Where a request goes; an interceptor may have changed it, but not to another server. */
  #pathOf({ url, path }: Route, request: AnyRequest): string {
    if (request.url === url) return path;
    const { origin } = new URL(request.url);
    if (origin === this.#origin) return pathIn(request.url);
    const message = `cannot make a request to ${origin}: the http2 session is connected to ${this.#origin}`;
    throw new ConnectError(message, Code.Internal);
  }
}

/** A message with its head, compressed unless that makes it longer. */
async function compressed(envelope: Uint8Array): Promise<Uint8Array> {
  const short = await compressionGzip.compress(envelope.subarray(HEAD_BYTES));
  return short.length + HEAD_BYTES < envelope.length ? enveloped(short, compressedFlag) : envelope;
}

/** Whether the first of the messages, each with its head, is compressed. */
function isCompressed(envelopes: Uint8Array): boolean {
  return ((envelopes[0] ?? 0) & compressedFlag) !== 0;
}

/** The request as interceptors see it: headers and signal are made when one looks. */
function requestOf({ route, life, headers, values }: Call) {
  let context = values;
  return {
    service: route.method.parent,
    method: route.method,
    requestMethod: "POST",
    url: route.url,
    get header() {
      return headers.headers;
    },
    get signal() {
      return life.signal;
    },
    get contextValues() {
      return (context ??= createContextValues());
    },
  };
}

async function* normal<I extends DescMessage>(
  schema: I,
  messages: AsyncIterable<MessageInitShape<I>>,
): AsyncGenerator<Message> {
  for await (const message of messages) yield create(schema, message);
}

/** A response whose life ends with it, also if an interceptor put other messages into it. */
function ended<I extends DescMessage, O extends DescMessage>(
  response: StreamResponse<I, O>,
  life: CallLife,
): StreamResponse<I, O> {
  const messages: unknown = response.message;
  if (messages instanceof ManyMessages) return response;
  const each = response.message[Symbol.asyncIterator]();
  const next = async (): ReturnType<typeof each.next> => {
    if (life.failure !== undefined) throw life.failure;
    try {
      const step = await each.next();
      if (step.done === true) life.end();
      return step;
    } catch (error) {
      throw life.fail(error);
    }
  };
  return { ...response, message: { [Symbol.asyncIterator]: () => ({ next }) } };
}

function pathIn(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
}
