// Answers that are pushed to a gRPC stream: sent, held back, changed by interceptors and ended as those that are asked for.
import { once } from "node:events";
import { constants } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  AgentService,
  type StreamResultsResponse,
  StreamResultsRequestSchema,
  StreamResultsResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { createGrpcHandler } from "../../../lib/rpc/grpc/grpc-handler.ts";
import { served } from "../../../lib/rpc/grpc/grpc-route.ts";
import { respondText } from "../../../lib/rpc/http-handler.ts";
import { Intake } from "../../../lib/rpc/interceptors/intake.ts";
import { unexpectedErrors } from "../../../lib/rpc/interceptors/unexpected-error.ts";
import { type Listener, openListener } from "../../../lib/rpc/listener/listener.ts";
import type { MessageSender, MessageSink, PushedMessages } from "../../../lib/rpc/pushed-messages.ts";
import { exchange, open, request } from "../../support/grpc-exchange.ts";
import { envelope } from "../../support/raw-http2.ts";

const STREAM = "/mycel.v1.AgentService/StreamResults";
const WRITE_MAX_BYTES = 100_000;
const BODY = envelope(toBinary(StreamResultsRequestSchema, create(StreamResultsRequestSchema, { taskId: "t" })));

/** One call as its implementation sees it. */
class Answer implements PushedMessages<StreamResultsResponse>, MessageSender {
  readonly context: HandlerContext;
  readonly stopped: PromiseWithResolvers<unknown> = Promise.withResolvers();
  readonly sink: Promise<MessageSink<StreamResultsResponse>>;
  readonly #sink = Promise.withResolvers<MessageSink<StreamResultsResponse>>();

  constructor(context: HandlerContext) {
    this.context = context;
    this.sink = this.#sink.promise;
  }

  [Symbol.asyncIterator](): never {
    throw new Error("asked, though it could be pushed");
  }

  pushTo(sink: MessageSink<StreamResultsResponse>): MessageSender {
    this.#sink.resolve(sink);
    return this;
  }

  stop(reason: unknown): void {
    this.stopped.resolve(reason);
  }
}

const message = (cursor: string): StreamResultsResponse => create(StreamResultsResponseSchema, { cursor });

let listener: Listener;
let answer: PromiseWithResolvers<Answer>;
let shutdown: AbortController;
const unexpected: unknown[] = [];
beforeEach(async () => {
  answer = Promise.withResolvers();
  shutdown = new AbortController();
  unexpected.length = 0;
  listener = await openListener({
    direct: createGrpcHandler({
      services: [
        served(AgentService, {
          streamResults: (_question, context) => {
            const made = new Answer(context);
            answer.resolve(made);
            return made;
          },
        }),
      ],
      interceptors: [unexpectedErrors({ onUnexpected: (error) => unexpected.push(error), requestId: () => "r" })],
      acceptCompression: [],
      readMaxBytes: WRITE_MAX_BYTES,
      writeMaxBytes: WRITE_MAX_BYTES,
      binaryOptions: {},
      intake: new Intake(),
      shutdownSignal: shutdown.signal,
    }),
    handler: (_request, response) => respondText(response, 418, "left to the other handler"),
  });
});
afterEach(() => listener[Symbol.asyncDispose]());

test("are sent in their order, with the headers that were added before the first", async () => {
  const exchanged = exchange(listener, STREAM, BODY, {});
  const { context, sink: taken } = await answer.promise;
  const sink = await taken;
  context.responseHeader.set("x-added", "before");
  for (const cursor of ["one", "two"]) await sink.send(message(cursor));
  context.responseTrailer.set("x-added", "after");
  sink.end();
  const { headers, trailers, body } = await exchanged;
  expect(headers).toMatchObject({ "content-type": "application/grpc+proto", "x-added": "before" });
  expect(trailers).toMatchObject({ "grpc-status": "0", "x-added": "after" });
  const first = fromBinary(StreamResultsResponseSchema, body.subarray(5, 5 + body.readUInt32BE(1)));
  expect(first.cursor).toBe("one");
  expect(body.toString()).toContain("two");
});

test("end with an error as interceptors make it, and what comes after that is nothing", async () => {
  const exchanged = exchange(listener, STREAM, BODY, {});
  const sink = await (await answer.promise).sink;
  await sink.send(message("one"));
  sink.fail(new Error("secret"));
  sink.end();
  await expect(sink.send(message("two"))).rejects.toThrow("the client left");
  const { trailers, body } = await exchanged;
  expect(trailers).toMatchObject({ "grpc-status": "13", "grpc-message": "internal error, request id r" });
  expect(unexpected).toMatchObject([{ message: "secret" }]);
  expect(body.toString()).not.toContain("two");
});

test("that cannot be sent end the call, and who sends them is told", async () => {
  const exchanged = exchange(listener, STREAM, BODY, {});
  const made = await answer.promise;
  const sink = await made.sink;
  await expect(sink.send(message("x".repeat(WRITE_MAX_BYTES)))).rejects.toMatchObject({
    code: Code.ResourceExhausted,
  });
  expect(await made.stopped.promise).toMatchObject({ code: Code.ResourceExhausted });
  expect((await exchanged).trailers["grpc-status"]).toBe(String(Code.ResourceExhausted));
});

test("are not wanted any more when the client leaves", async () => {
  await using session = await open(listener);
  const call = request(session, STREAM, {}).on("error", () => undefined);
  call.end(BODY);
  const made = await answer.promise;
  const sink = await made.sink;
  await sink.send(message("one"));
  await once(call, "response");
  call.close(constants.NGHTTP2_CANCEL);
  expect(await made.stopped.promise).toMatchObject({ code: Code.Canceled });
  expect(made.context.signal.reason).toMatchObject({ code: Code.Canceled });
  await expect(sink.send(message("two"))).rejects.toMatchObject({ code: Code.Canceled });
});

test.for([
  ["their deadline", (): void => undefined, Code.DeadlineExceeded],
  ["a shutdown", (): void => shutdown.abort(new ConnectError("draining", Code.Unavailable)), Code.Unavailable],
] as const)("are stopped by %s, and end with what the sender says to that", async ([what, end, code]) => {
  const headers: Record<string, string> = what === "their deadline" ? { "grpc-timeout": "50m" } : {};
  const exchanged = exchange(listener, STREAM, BODY, headers);
  const made = await answer.promise;
  const sink = await made.sink;
  end();
  sink.fail(await made.stopped.promise);
  expect((await exchanged).trailers["grpc-status"]).toBe(String(code));
});

test("are held back while the reader stands still", async () => {
  await using session = await open(listener);
  const call = request(session, STREAM, {}).on("error", () => undefined);
  call.end(BODY);
  const sink = await (await answer.promise).sink;
  let sent = 0;
  const sending = (async () => {
    for (; sent < 40; sent += 1) await sink.send(message("x".repeat(60_000)));
  })();
  await once(call, "response");
  // The window takes 64 KiB, and the server's own buffers some more; the answers to pings show that time has passed.
  for (let i = 0; i < 5; i += 1) await new Promise((pong) => session.ping(pong));
  expect(sent).toBeLessThan(20);
  call.resume();
  await sending;
  expect(sent).toBe(40);
});
