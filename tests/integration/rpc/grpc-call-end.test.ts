// However a gRPC call ends that is answered right on its stream, its client is told, and its implementation is let go.
import { once } from "node:events";
import { constants } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  AgentService,
  GetTaskRequestSchema,
  StreamResultsRequestSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { createGrpcHandler } from "../../../lib/rpc/grpc/grpc-handler.ts";
import { served } from "../../../lib/rpc/grpc/grpc-route.ts";
import { respondText } from "../../../lib/rpc/http-handler.ts";
import { Intake } from "../../../lib/rpc/interceptors/intake.ts";
import { type Listener, openListener } from "../../../lib/rpc/listener/listener.ts";
import { aborted, exchange, open, request } from "../../support/grpc-exchange.ts";
import { envelope } from "../../support/raw-http2.ts";

const UNARY = "/mycel.v1.AgentService/GetTask";
const STREAM = "/mycel.v1.AgentService/StreamResults";
const WRITE_MAX_BYTES = 300_000;

/** What implementations saw, and how often. */
const seen: { signals: AbortSignal[]; sent: number; finished: number; reason: unknown } = {
  signals: [],
  sent: 0,
  finished: 0,
  reason: undefined,
};

const implementation = {
  async getTask({ taskId }: { taskId: string }, context: HandlerContext) {
    seen.signals.push(context.signal);
    context.signal.throwIfAborted();
    if (taskId === "refused") throw new ConnectError("passed on", Code.Aborted, OF_A_CONNECTION);
    if (taskId === "answered")
      for (const headers of [context.responseHeader, context.responseTrailer])
        for (const [name, value] of Object.entries(OF_A_CONNECTION)) headers.set(name, value);
    return { task: { taskId, type: "t".repeat(taskId === "large" ? 200_000 : 1) } };
  },
  /** Looks at its signal only when it is over. */
  async *streamResults({ taskId }: { taskId: string }, { signal }: HandlerContext) {
    try {
      for (let i = 0; i < 100; i += 1) {
        seen.sent += 1;
        yield { cursor: "c".repeat(taskId === "too-large" && i === 2 ? WRITE_MAX_BYTES + 1 : 60_000) };
      }
    } finally {
      seen.finished += 1;
      seen.reason = signal.reason;
    }
  },
};

/** Headers that HTTP/2 does not have, and one that it does. */
const OF_A_CONNECTION: Readonly<Record<string, string>> = {
  connection: "keep-alive",
  "keep-alive": "timeout=5",
  "proxy-connection": "close",
  te: "gzip",
  "transfer-encoding": "chunked",
  upgrade: "h2c",
  "x-other": "other",
};

let listener: Listener;
beforeEach(async () => {
  Object.assign(seen, { signals: [], sent: 0, finished: 0, reason: undefined });
  listener = await openListener({
    direct: createGrpcHandler({
      services: [served(AgentService, implementation)],
      interceptors: [],
      acceptCompression: [],
      readMaxBytes: WRITE_MAX_BYTES,
      writeMaxBytes: WRITE_MAX_BYTES,
      binaryOptions: {},
      intake: new Intake(),
      shutdownSignal: new AbortController().signal,
    }),
    handler: (_request, response) => respondText(response, 418, "left to the other handler"),
  });
});
afterEach(() => listener[Symbol.asyncDispose]());

const getTask = (taskId: string): Buffer =>
  envelope(toBinary(GetTaskRequestSchema, create(GetTaskRequestSchema, { taskId })));
const stream = (taskId: string): Buffer =>
  envelope(toBinary(StreamResultsRequestSchema, create(StreamResultsRequestSchema, { taskId })));

test("a deadline that passed before the call came has ended its signal", async () => {
  const { trailers } = await exchange(listener, UNARY, getTask("one"), { "grpc-timeout": "0m" });
  expect(trailers).toMatchObject({ "grpc-status": String(Code.DeadlineExceeded) });
});

test("a call that is answered has ended its signal, though its answer is not read", async () => {
  await using session = await open(listener);
  const call = request(session, UNARY, { "grpc-timeout": "1H" });
  call.end(getTask("large"));
  await once(call, "response");
  await aborted(seen.signals[0]!);
});

test.for([
  ["an answer", "answered", "0"],
  ["an error", "refused", String(Code.Aborted)],
] as const)("headers of a connection are left out of %s", async ([, taskId, status]) => {
  const { trailers } = await exchange(listener, UNARY, getTask(taskId), {});
  expect(trailers).toMatchObject({ "grpc-status": status, "x-other": "other" });
  expect(Object.keys(trailers).filter((name) => name !== "x-other" && name in OF_A_CONNECTION)).toEqual([]);
});

test("a stream whose message cannot be sent is ended on both sides", async () => {
  const { trailers } = await exchange(listener, STREAM, stream("too-large"), {});
  expect(trailers["grpc-status"]).toBe(String(Code.ResourceExhausted));
  expect(seen).toMatchObject({ sent: 3, finished: 1, reason: { code: Code.ResourceExhausted } });
});

test("a stream whose reader leaves while it stands still is asked for nothing more", async () => {
  await using session = await open(listener);
  const call = request(session, STREAM, {});
  call.end(stream("endless"));
  await once(call, "response");
  // Other calls show that time has passed, and the windows are full.
  for (let i = 0; i < 5; i += 1) await exchange(listener, UNARY, getTask("one"), {});
  const { sent } = seen;
  call.close(constants.NGHTTP2_CANCEL);
  await expect.poll(() => seen.finished).toBe(1);
  expect(seen).toMatchObject({ sent, reason: { code: Code.Canceled } });
});

test("a listener that drains lets a stream come to its end", async () => {
  await using session = await open(listener);
  const call = request(session, STREAM, {});
  call.end(stream("endless"));
  await once(call, "response");
  const drained = listener.drain(60_000);
  const [[trailers]] = await Promise.all([once(call, "trailers"), call.resume().toArray()]);
  expect(trailers).toMatchObject({ "grpc-status": "0" });
  expect(await drained).toEqual({ forced: 0 });
  expect(seen).toMatchObject({ sent: 100, finished: 1, reason: undefined });
});
