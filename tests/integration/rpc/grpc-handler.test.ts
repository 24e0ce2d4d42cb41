// gRPC calls that are answered right on their streams are answered as Connect would: the same calls, to a listener with each, side by side.
import { once } from "node:events";
import { constants } from "node:http2";
import { gunzipSync, gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  AgentService,
  GetTaskRequestSchema,
  GetTaskResponseSchema,
  StreamResultsRequestSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { createGrpcHandler } from "../../../lib/rpc/grpc/grpc-handler.ts";
import { served } from "../../../lib/rpc/grpc/grpc-route.ts";
import { respondText } from "../../../lib/rpc/http-handler.ts";
import { boundedGzip } from "../../../lib/rpc/interceptors/bounded-gzip.ts";
import { withLongTimeouts } from "../../../lib/rpc/interceptors/call-timeout.ts";
import { explainErrors } from "../../../lib/rpc/interceptors/error-reasons.ts";
import { Intake } from "../../../lib/rpc/interceptors/intake.ts";
import { withReadableMessages } from "../../../lib/rpc/interceptors/status-message.ts";
import { unexpectedErrors } from "../../../lib/rpc/interceptors/unexpected-error.ts";
import { type Listener, openListener } from "../../../lib/rpc/listener/listener.ts";
import { richError } from "../../../lib/rpc/rich-error.ts";
import { aborted, exchange, open, request } from "../../support/grpc-exchange.ts";
import { envelope } from "../../support/raw-http2.ts";

const UNARY = "/mycel.v1.AgentService/GetTask";
const STREAM = "/mycel.v1.AgentService/StreamResults";
const READ_MAX_BYTES = 100_000;

/** What implementations saw. */
const seen: { signals: AbortSignal[]; timeouts: (number | undefined)[]; sent: number } = {
  signals: [],
  timeouts: [],
  sent: 0,
};

const implementation = {
  async getTask({ taskId }: { taskId: string }, context: HandlerContext) {
    seen.signals.push(context.signal);
    seen.timeouts.push(context.timeoutMs());
    context.responseHeader.set("x-seen", context.requestHeader.get("x-sent") ?? "nothing");
    context.responseTrailer.set("x-after", context.url);
    switch (taskId) {
      case "refused":
        throw richError({ code: Code.NotFound, reason: "TASK_NOT_FOUND", message: "ö, 100 %: no such task" });
      case "with-metadata":
        throw new ConnectError("no", Code.PermissionDenied, { "x-why": "because" });
      case "with-cookies":
        for (const cookie of ["a=1", "b=2"]) context.responseHeader.append("set-cookie", cookie);
        return {};
      case "unexpected":
        throw new TypeError("a secret");
      case "waits":
        context.signal.throwIfAborted();
        return await new Promise<never>((_, reject) => {
          context.signal.addEventListener("abort", () => reject(context.signal.reason));
        });
      default:
        return { task: { taskId, type: "t".repeat(taskId === "large" ? 5_000 : 1) } };
    }
  },
  async *streamResults({ taskId }: { taskId: string }, context: HandlerContext) {
    seen.signals.push(context.signal);
    context.responseHeader.set("x-seen", "stream");
    if (taskId === "fails-at-once") throw new ConnectError("at once", Code.Aborted);
    const count = taskId === "endless" ? Infinity : 3;
    for (let i = 0; i < count && !context.signal.aborted; i += 1) {
      if (taskId === "fails-later" && i === 2) throw new ConnectError("later", Code.Aborted);
      seen.sent += 1;
      yield { sequence: BigInt(i), cursor: "c".repeat(taskId === "endless" ? 60_000 : i) };
      if (taskId === "endless") await Promise.resolve();
    }
    context.responseTrailer.set("x-after", "stream");
  },
};

const MAX_HELD_BYTES = 1_000_000;
const intake = new Intake({ maxHeldBytes: MAX_HELD_BYTES });
const shutdown = new AbortController();
let ordinary: Listener;
let direct: Listener;
beforeAll(async () => {
  const heard: string[] = [];
  const interceptor: Interceptor = (next) => async (request) => {
    heard.push(`${request.service.typeName} ${request.method.name} ${request.requestMethod} ${request.stream}`);
    const response = await next(request);
    response.header.set("x-heard", heard.pop() ?? "");
    return response;
  };
  const shared = {
    interceptors: [unexpectedErrors({ onUnexpected: () => undefined, requestId: () => "request" }), interceptor],
    acceptCompression: [boundedGzip()],
    readMaxBytes: READ_MAX_BYTES,
    writeMaxBytes: READ_MAX_BYTES,
    binaryOptions: { readUnknownFields: false },
  };
  const handler = withLongTimeouts(
    withReadableMessages(
      connectNodeAdapter({
        ...shared,
        requestGate: explainErrors,
        routes: (router) => void router.service(AgentService, implementation),
      }),
    ),
  );
  ordinary = await openListener({ handler });
  direct = await openListener({
    direct: createGrpcHandler({
      ...shared,
      services: [served(AgentService, implementation)],
      intake,
      shutdownSignal: shutdown.signal,
    }),
    handler: (_request, response) => respondText(response, 418, "left to the other handler"),
  });
});
afterAll(async () => {
  await ordinary[Symbol.asyncDispose]();
  await direct[Symbol.asyncDispose]();
});

const getTask = (taskId: string): Buffer =>
  envelope(toBinary(GetTaskRequestSchema, create(GetTaskRequestSchema, { taskId })));
const stream = (taskId: string): Buffer =>
  envelope(toBinary(StreamResultsRequestSchema, create(StreamResultsRequestSchema, { taskId })));

const COMPRESSED = { "grpc-encoding": "gzip" };
const compressed = (message: Buffer): Buffer => envelope(gzipSync(message.subarray(5)), 1);
/** Without its head and its end. */
const cut = (message: Buffer): Buffer => message.subarray(5, -9);

describe("is answered as Connect answers it:", () => {
  const gzip = { "grpc-accept-encoding": "identity,gzip" };
  test.for([
    ["a call", UNARY, getTask("one"), {}],
    ["a call with the longer content type", UNARY, getTask("one"), { "content-type": "application/grpc+proto" }],
    [
      "a call with headers, a deadline and an accepted compression",
      UNARY,
      getTask("one"),
      { ...gzip, "x-sent": "x", "grpc-timeout": "9S" },
    ],
    ["a call with a deadline beyond what timers count", UNARY, getTask("one"), { "grpc-timeout": "99999999H" }],
    ["a call to an IPv6 address as Node spells it", UNARY, getTask("one"), { ":authority": "::1:8080" }],
    ["a call that came to a proxy over TLS", UNARY, getTask("one"), { ":scheme": "https" }],
    ["an answer with cookies", UNARY, getTask("with-cookies"), {}],
    ["a large answer", UNARY, getTask("large"), {}],
    ["a large answer that may be compressed", UNARY, getTask("large"), gzip],
    ["a call that is refused with details", UNARY, getTask("refused"), {}],
    ["a call that is refused with metadata", UNARY, getTask("with-metadata"), {}],
    ["a call that goes wrong", UNARY, getTask("unexpected"), {}],
    ["a call whose deadline passes", UNARY, getTask("waits"), { "grpc-timeout": "20m" }],
    ["a call without a message", UNARY, Buffer.alloc(0), {}],
    ["a call with half an envelope", UNARY, Buffer.of(0, 0), {}],
    ["a call with half a message", UNARY, getTask("one").subarray(0, -1), {}],
    ["a call with two messages", UNARY, Buffer.concat([getTask("one"), getTask("one")]), {}],
    ["a call with more than its message", UNARY, Buffer.concat([getTask("one"), Buffer.of(0, 0)]), {}],
    ["a call that cannot be read", UNARY, envelope(Buffer.from("nonsense")), {}],
    ["a call that is too large", UNARY, envelope(new Uint8Array(READ_MAX_BYTES + 1)), {}],
    ["a call that says it is too large", UNARY, envelope(new Uint8Array(3), 0, READ_MAX_BYTES + 1), {}],
    ["a call that is compressed, but does not say how", UNARY, envelope(gzipSync("x"), 1), {}],
    ["a call that is compressed", UNARY, compressed(getTask("one")), COMPRESSED],
    ["a stream that is asked for compressed", STREAM, compressed(stream("three")), COMPRESSED],
    ["a call that may be compressed, and is not", UNARY, getTask("one"), COMPRESSED],
    [
      "a compressed call with a large answer, which says not what it takes",
      UNARY,
      compressed(getTask("large")),
      COMPRESSED,
    ],
    ["a compressed call with a large answer", UNARY, compressed(getTask("large")), { ...COMPRESSED, ...gzip }],
    ["a call that says that it is compressed, and is not", UNARY, envelope(getTask("one").subarray(5), 1), COMPRESSED],
    ["a call whose compression ends too soon", UNARY, envelope(cut(compressed(getTask("one"))), 1), COMPRESSED],
    ["a call that grows too large", UNARY, envelope(gzipSync(new Uint8Array(READ_MAX_BYTES + 1)), 1), COMPRESSED],
    ["a compressed call that cannot be read", UNARY, envelope(gzipSync("nonsense"), 1), COMPRESSED],
    ["a stream", STREAM, stream("three"), {}],
    ["a stream of which nothing is compressed", STREAM, stream("three"), gzip],
    ["a stream that fails at once", STREAM, stream("fails-at-once"), {}],
    ["a stream that fails later", STREAM, stream("fails-later"), {}],
    ["a stream without a message", STREAM, Buffer.alloc(0), {}],
    ["a stream with two messages", STREAM, Buffer.concat([stream("one"), stream("one")]), {}],
  ] as const)("%s", async ([, path, body, headers]) => {
    const [ours, theirs] = [await exchange(direct, path, body, headers), await exchange(ordinary, path, body, headers)];
    expect(ours.status).toBe(200);
    expect(ours).toEqual(theirs);
  });
});

test("what arrived compressed counts until it is decompressed, and not after that", async () => {
  for (const message of [
    compressed(getTask("one")),
    envelope(gzipSync("nonsense"), 1),
    envelope(Buffer.from("none"), 1),
  ]) {
    await exchange(direct, UNARY, message, COMPRESSED);
    // Everything that it may hold, to the last byte.
    intake.hold(MAX_HELD_BYTES);
    intake.hold(-MAX_HELD_BYTES);
  }
});

test("an answer is what the implementation said", async () => {
  const { trailers, body, headers } = await exchange(direct, UNARY, getTask("one"), { "x-sent": "sent" });
  expect(trailers["grpc-status"]).toBe("0");
  expect(headers).toMatchObject({ "x-seen": "sent", "x-heard": "mycel.v1.AgentService GetTask POST false" });
  expect(fromBinary(GetTaskResponseSchema, body.subarray(5)).task?.taskId).toBe("one");
});

test("a large answer is compressed for whoever takes that", async () => {
  const { body } = await exchange(direct, UNARY, getTask("large"), { "grpc-accept-encoding": "gzip" });
  expect(body[0]).toBe(1);
  expect(fromBinary(GetTaskResponseSchema, gunzipSync(body.subarray(5))).task?.type).toHaveLength(5_000);
});

test.for([
  ["a method that is not served", "/mycel.v1.AgentService/Unknown", {}],
  ["a method whose clients stream", "/mycel.v1.AgentService/SubmitTaskStream", {}],
  ["another protocol", UNARY, { "content-type": "application/proto" }],
  ["another codec", UNARY, { "content-type": "application/grpc+json" }],
  ["a request that is compressed as nobody does", UNARY, { "grpc-encoding": "zstd" }],
  ["a browser's page", UNARY, { origin: "https://console.example.com" }],
  ["a deadline that cannot be read", UNARY, { "grpc-timeout": "soon" }],
  ["a host that cannot be one", UNARY, { ":authority": "999.999.999.999" }],
  ["a client that wants to be asked for its body", UNARY, { expect: "100-continue" }],
] as const)("%s is left to the other handler", async ([, path, headers]) => {
  expect((await exchange(direct, path, getTask("one"), headers)).status).toBe(418);
});

test("a client that leaves ends the signal of its call", async () => {
  seen.signals.length = 0;
  await using session = await open(direct);
  const call = request(session, UNARY, {});
  call.end(getTask("waits"));
  await expect.poll(() => seen.signals.length).toBe(1);
  const [signal] = seen.signals;
  call.close(constants.NGHTTP2_CANCEL);
  await aborted(signal!);
  expect(signal!.reason).toMatchObject({ code: Code.Canceled });
});

test("a call that is over has ended its signal", async () => {
  seen.signals.length = 0;
  await exchange(direct, UNARY, getTask("one"), {});
  await aborted(seen.signals[0]!);
});

test("an implementation is told how much time is left", async () => {
  seen.timeouts.length = 0;
  await exchange(direct, UNARY, getTask("one"), { "grpc-timeout": "5S" });
  await exchange(direct, UNARY, getTask("one"), {});
  const [some, none] = seen.timeouts;
  expect(some).toBeGreaterThan(0);
  expect(some).toBeLessThanOrEqual(5_000);
  expect(none).toBeUndefined();
});

test("a reader that stands still holds the stream back, and its leaving ends it", async () => {
  seen.signals.length = seen.sent = 0;
  await using session = await open(direct);
  const call = request(session, STREAM, {});
  call.end(stream("endless"));
  await once(call, "response");
  // Its window takes 64 KiB, and the server's own buffers some more; another call shows that time has passed.
  for (let i = 0; i < 5; i += 1) await exchange(direct, UNARY, getTask("one"), {});
  const before = seen.sent;
  for (let i = 0; i < 5; i += 1) await exchange(direct, UNARY, getTask("one"), {});
  expect(seen.sent).toBe(before);
  expect(before).toBeLessThan(20);
  const [signal] = seen.signals;
  call.close(constants.NGHTTP2_CANCEL);
  await aborted(signal!);
});

test("a connection that is cut ends the signals of all its calls", async () => {
  seen.signals.length = 0;
  const session = await open(direct);
  for (let i = 0; i < 3; i += 1)
    request(session, UNARY, {})
      .on("error", () => undefined)
      .end(getTask("waits"));
  await expect.poll(() => seen.signals.length).toBe(3);
  session.destroy();
  await Promise.all(seen.signals.map((signal) => aborted(signal)));
});

test("a server that shuts down ends its calls with the reason for that", async () => {
  seen.signals.length = 0;
  const answer = exchange(direct, UNARY, getTask("waits"), {});
  await expect.poll(() => seen.signals.length).toBe(1);
  shutdown.abort(new ConnectError("draining", Code.Unavailable));
  expect((await answer).trailers).toMatchObject({
    "grpc-status": String(Code.Unavailable),
    "grpc-message": "draining",
  });
  const late = await exchange(direct, UNARY, getTask("waits"), { "grpc-timeout": "10S" });
  expect(late.trailers["grpc-status"]).toBe(String(Code.Unavailable));
});
