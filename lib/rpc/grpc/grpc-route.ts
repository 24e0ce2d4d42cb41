// What is behind a path: the implementation with its interceptors around it, and how its messages are read and written. Knows nothing
// of HTTP.
import { create, type DescMethod, type DescService, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import type { BinaryReadOptions, BinaryWriteOptions } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type Interceptor, type ServiceImpl } from "@connectrpc/connect";
import type { StreamResponse, UnaryResponse } from "@connectrpc/connect";
import { createMethodSerializationLookup } from "@connectrpc/connect/protocol";
import { canPush, withMessages } from "../pushed-messages.ts";
import { GrpcRequest } from "./grpc-request.ts";

/** A service with what answers its calls. */
export interface ServedService {
  readonly service: DescService;
  /** Its methods by their local names. */
  readonly implementation: object;
}

/** A service with what answers its calls. */
export function served<Service extends DescService>(
  service: Service,
  implementation: Partial<ServiceImpl<Service>>,
): ServedService {
  return { service, implementation };
}

/** How messages are read and written, as Connect takes it. */
export interface MessageOptions {
  /** The largest message that is read, in bytes. */
  readonly readMaxBytes: number;
  /** The largest message that is written, in bytes. */
  readonly writeMaxBytes: number;
  readonly binaryOptions: Partial<BinaryReadOptions & BinaryWriteOptions>;
}

/** A method whose clients send one message. */
export type OneMessageMethod = DescMethod & { readonly methodKind: "unary" | "server_streaming" };

/** One method that is served. */
export interface GrpcRoute {
  readonly method: OneMessageMethod;
  /** Throws ConnectError for what cannot be decoded. */
  readonly parse: (bytes: Uint8Array) => Message;
  /** Throws ConnectError for what is too large. */
  readonly serialize: (message: Message) => Uint8Array;
  /** Runs the interceptors and the implementation. */
  readonly run: (request: GrpcRequest) => Promise<UnaryResponse | StreamResponse>;
}

type AnyFn = ReturnType<Interceptor>;
type Implementation = (message: Message, context: HandlerContext) => unknown;

/** The methods that take one message, by path; those whose clients stream are not among them. */
export function routesOf(
  services: readonly ServedService[],
  interceptors: readonly Interceptor[],
  options: MessageOptions,
): ReadonlyMap<string, GrpcRoute> {
  const routes = new Map<string, GrpcRoute>();
  for (const { service, implementation } of services) {
    for (const method of service.methods) {
      if (!takesOneMessage(method)) continue;
      const known = new Map<string, unknown>(Object.entries(implementation));
      const implemented = known.get(method.localName);
      if (typeof implemented !== "function") continue;
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- ServiceImpl says so of each method
      const called = implemented.bind(implementation) as Implementation;
      const path = `/${service.typeName}/${method.name}`;
      routes.set(path, routeOf(method, interceptors, called, options));
    }
  }
  return routes;
}

function takesOneMessage(method: DescMethod): method is OneMessageMethod {
  return method.methodKind === "unary" || method.methodKind === "server_streaming";
}

function routeOf(
  method: OneMessageMethod,
  interceptors: readonly Interceptor[],
  implementation: Implementation,
  { binaryOptions, ...limits }: MessageOptions,
): GrpcRoute {
  const lookup = createMethodSerializationLookup(method, binaryOptions, undefined, limits);
  const input = lookup.getI(true);
  const output = lookup.getO(true);
  const innermost = method.methodKind === "unary" ? unary(method, implementation) : streaming(method, implementation);
  const run = interceptors.reduceRight<AnyFn>((next, interceptor) => interceptor(next), innermost);
  return {
    method,
    parse: (bytes) => input.parse(bytes),
    serialize: (message) => output.serialize(message),
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it has what both kinds of request have
    run: (request) => run(request as Parameters<AnyFn>[0]),
  };
}

function unary(method: OneMessageMethod, implementation: Implementation): AnyFn {
  return async (request) => {
    const { call } = GrpcRequest.from(request);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the request of a unary method
    const answer = await implementation(request.message as Message, call);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its method is a unary one
    return { ...answerOf(method, call), stream: false, message: normal(method, answer) } as UnaryResponse;
  };
}

function streaming(method: OneMessageMethod, implementation: Implementation): AnyFn {
  const made = (answer: unknown): Message => normal(method, answer);
  return async (request) => {
    const { call } = GrpcRequest.from(request);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the request of a streaming method
    const message = await first(request.message as AsyncIterable<Message>);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- ServiceImpl says so of streaming methods
    const answers = implementation(message, call) as AsyncIterable<unknown>;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its method is a streaming one
    return { ...answerOf(method, call), stream: true, message: eachMade(answers, made) } as StreamResponse;
  };
}

function answerOf(method: OneMessageMethod, call: HandlerContext) {
  return { service: method.parent, method, header: call.responseHeader, trailer: call.responseTrailer };
}

/** Implementations may answer with the fields alone. */
function normal({ output }: OneMessageMethod, answer: unknown): Message {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- ServiceImpl says so
  return create(output, answer as MessageInitShape<typeof output>);
}

async function first(messages: AsyncIterable<Message>): Promise<Message> {
  for await (const message of messages) return message;
  throw new ConnectError("protocol error: missing input message for server-streaming method", Code.Unimplemented);
}

function eachMade(answers: AsyncIterable<unknown>, made: (answer: unknown) => Message): AsyncIterable<Message> {
  return canPush(answers) ? withMessages(answers, made) : eachAsked(answers, made);
}

function eachAsked(answers: AsyncIterable<unknown>, made: (answer: unknown) => Message): AsyncIterable<Message> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = answers[Symbol.asyncIterator]();
      const step = async (taken: Promise<IteratorResult<unknown>>): Promise<IteratorResult<Message>> => {
        const { done, value } = await taken;
        return done === true ? { done, value: undefined } : { done: false, value: made(value) };
      };
      return {
        next: () => step(iterator.next()),
        return: async () => {
          await iterator.return?.();
          return { done: true, value: undefined };
        },
      };
    },
  };
}
