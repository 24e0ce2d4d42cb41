// The client's own gRPC transport beside Connect's, against servers that behave and such that do not: whatever a server does, both say the
// same.
import { getEventListeners, once } from "node:events";
import { createServer, type Http2Server, type Http2Session, type ServerHttp2Stream } from "node:http2";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport as createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  AgentService,
  GetTaskStatusResponseSchema,
  StreamResultsResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { richError } from "../../../lib/rpc/rich-error.ts";
import { createGrpcTransport } from "../../../sdk/client/grpc/grpc-transport.ts";
import { enveloped } from "../../../sdk/client/grpc/message-splitter.ts";

type Behave = (stream: ServerHttp2Stream, session: Http2Session) => unknown;

const STATUS = enveloped(
  toBinary(GetTaskStatusResponseSchema, create(GetTaskStatusResponseSchema, { status: { taskId: "t-1" } })),
);
const RESULT = (cursor: string): Buffer =>
  enveloped(toBinary(StreamResultsResponseSchema, create(StreamResultsResponseSchema, { cursor })));
const OK = { ":status": 200, "content-type": "application/grpc+proto" };

/** Starts a server that does this to every call. */
async function serving(
  behave: Behave,
): Promise<{ readonly url: string; readonly server: Http2Server; sessions: number }> {
  const server = createServer();
  const found = { url: "", server, sessions: 0 };
  const open = new Set<Http2Session>();
  server.on("session", (session) => {
    found.sessions += 1;
    open.add(session);
    session.on("error", () => undefined);
    session.once("close", () => open.delete(session));
  });
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.resume();
    if (stream.session !== undefined) behave(stream, stream.session);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  found.url = `http://127.0.0.1:${address.port}`;
  onTestFinished(() => {
    for (const session of open) session.destroy();
    server.close();
  });
  return found;
}

interface Made {
  readonly transport: Transport;
  readonly session: Http2SessionManager;
}

function makeBoth(baseUrl: string, interceptors: Interceptor[] = []): { readonly own: Made; readonly connects: Made } {
  const make = (build: (session: Http2SessionManager) => Transport): Made => {
    const session = new Http2SessionManager(baseUrl);
    onTestFinished(() => session.abort());
    return { session, transport: build(session) };
  };
  const connects = make((sessionManager) => createConnectTransport({ baseUrl, sessionManager, interceptors }));
  const own = make((session) =>
    createGrpcTransport({
      baseUrl,
      session,
      headers: {},
      interceptors,
      compressFromBytes: Infinity,
      clientStreams: connects.transport,
    }),
  );
  return { own, connects };
}

/** What a caller learns from a failure. */
function said(error: unknown): unknown {
  const { code, rawMessage, details, metadata, cause } = ConnectError.from(error);
  const why = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const headers = [...metadata].filter(([name]) => name !== "date");
  return { code: Code[code], rawMessage, details, headers, why };
}

async function unaryOf({ transport }: Made, options = {}): Promise<unknown> {
  const told: unknown[] = [];
  try {
    const headers = { "x-own": "1" };
    const { status } = await createClient(AgentService, transport).getTaskStatus(
      { taskId: "t-1" },
      {
        headers,
        onHeader: (each) => told.push([...each].filter(([name]) => name !== "date")),
        onTrailer: (each) => told.push([...each]),
        ...options,
      },
    );
    return [...told, status?.taskId];
  } catch (error) {
    return [...told, said(error)];
  }
}

async function streamOf({ transport }: Made, options = {}): Promise<unknown> {
  const told: unknown[] = [];
  try {
    for await (const { cursor } of createClient(AgentService, transport).streamResults(
      { taskId: "t-1" },
      {
        onHeader: (each) => told.push([...each].filter(([name]) => name !== "date")),
        onTrailer: (each) => told.push([...each]),
        ...options,
      },
    )) {
      told.push(cursor);
    }
    return told;
  } catch (error) {
    return [...told, said(error)];
  }
}

/** Answers with these pieces of a body, each on its own, then these trailers. */
function answering(pieces: readonly Buffer[], trailers: Record<string, string> | undefined, headers = {}): Behave {
  return async (stream) => {
    stream.respond({ ...OK, ...headers }, { waitForTrailers: trailers !== undefined });
    stream.once("wantTrailers", () => stream.sendTrailers(trailers ?? {}));
    for (const piece of pieces) {
      await new Promise((sent) => stream.write(piece, sent));
      await new Promise(setImmediate);
    }
    stream.end();
  };
}

function failing(error: ConnectError): Record<string, string> {
  return Object.fromEntries(setTrailerStatus(new Headers(), error));
}

const FINE = { "grpc-status": "0" };
const bytes = (buffer: Buffer): Buffer[] => [...buffer].map((byte) => Buffer.from([byte]));
const compressed = (buffer: Buffer): Buffer => {
  const packed = enveloped(gzipSync(buffer.subarray(5)));
  packed[0] = 1;
  return packed;
};
const detailed = richError({ code: Code.NotFound, message: "no such täsk", reason: "TASK_NOT_FOUND" });

const CASES: Readonly<Record<string, readonly [unary: Behave, stream?: Behave]>> = {
  "a message": [answering([STATUS], FINE), answering([RESULT("a"), RESULT("b")], FINE)],
  "metadata on both ends": [
    answering([STATUS], { ...FINE, "x-end": "2" }, { "x-begin": "1" }),
    answering([RESULT("a")], { ...FINE, "x-end": "2" }, { "x-begin": "1" }),
  ],
  "messages cut into single bytes": [
    answering(bytes(STATUS), FINE),
    answering(bytes(Buffer.concat([RESULT("a"), RESULT("b")])), FINE),
  ],
  "many messages in one piece": [
    answering([Buffer.concat([STATUS, STATUS])], FINE),
    answering([Buffer.concat(["a", "b", "c", "d"].map(RESULT))], FINE),
  ],
  "compressed messages": [
    answering([compressed(STATUS)], FINE, { "grpc-encoding": "gzip" }),
    answering([compressed(RESULT("a")), RESULT("b"), compressed(RESULT("c"))], FINE, { "grpc-encoding": "gzip" }),
  ],
  "a compression that nobody asked for": [answering([STATUS], FINE, { "grpc-encoding": "zstd" })],
  "a compressed message without a compression": [answering([compressed(STATUS)], FINE)],
  "what is compressed and broken": [
    answering([Buffer.from([1, 0, 0, 0, 2, 7, 7])], FINE, { "grpc-encoding": "gzip" }),
    answering([RESULT("a"), Buffer.from([1, 0, 0, 0, 2, 7, 7])], FINE, { "grpc-encoding": "gzip" }),
  ],
  "no message": [answering([], FINE)],
  "an error with details": [answering([], failing(detailed)), answering([RESULT("a"), RESULT("b")], failing(detailed))],
  "an error without a message": [answering([], { "grpc-status": "5" })],
  "an error after its message": [answering([STATUS], { "grpc-status": "13", "grpc-message": "late" })],
  "a status that is none": [answering([STATUS], { "grpc-status": "fine" })],
  "an unknown status": [answering([], { "grpc-status": "99", "grpc-message": "what" })],
  "only headers, with an error": [(stream) => stream.respond({ ...OK, ...failing(detailed) }, { endStream: true })],
  "only headers, with success": [(stream) => stream.respond({ ...OK, ...FINE }, { endStream: true })],
  "success in headers, then a message": [answering([STATUS], undefined, FINE)],
  "an error in headers, then a message": [answering([STATUS], undefined, { "grpc-status": "5" })],
  "no trailers": [answering([STATUS], undefined), answering([RESULT("a")], undefined)],
  "trailers without a status": [answering([STATUS], { "x-end": "2" })],
  "a page of HTML": [
    (stream) => {
      stream.respond({ ":status": 502, "content-type": "text/html" });
      stream.end("<h1>Bad gateway</h1>");
    },
  ],
  "another content type": [answering([STATUS], FINE, { "content-type": "application/json" })],
  "no content type": [
    (stream) => {
      stream.respond({ ":status": 200 });
      stream.end();
    },
  ],
  "a message that is none": [
    answering([Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff])], FINE),
    answering([RESULT("a"), Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff])], FINE),
  ],
  "half a message": [answering([STATUS.subarray(0, 7)], FINE), answering([RESULT("a"), Buffer.from([0, 0])], FINE)],
  ...Object.fromEntries(
    ["PROTOCOL_ERROR", "INTERNAL_ERROR", "REFUSED_STREAM", "CANCEL", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY"].map(
      (name, i) => {
        const code = [1, 2, 7, 8, 11, 12][i]!;
        const later: Behave = (stream) => {
          stream.respond(OK);
          stream.write(RESULT("a"), () => setImmediate(() => stream.close(code)));
        };
        return [`a reset with ${name}`, [(stream: ServerHttp2Stream) => stream.close(code), later] as const];
      },
    ),
  ),
};

describe("a call over the client's own transport says what it says over Connect's, of", () => {
  test.for(Object.entries(CASES))("%s", async ([, [unary, stream = unary]]) => {
    const one = makeBoth((await serving(unary)).url);
    expect(await unaryOf(one.own)).toEqual(await unaryOf(one.connects));
    const many = makeBoth((await serving(stream)).url);
    expect(await streamOf(many.own)).toEqual(await streamOf(many.connects));
  });

  test("a server that goes away", async () => {
    const cut: Behave = (stream, session) => {
      stream.respond(OK);
      stream.write(RESULT("a"), () => setImmediate(() => session.destroy()));
    };
    const { url } = await serving(cut);
    const both = makeBoth(url);
    expect(await unaryOf(both.own)).toEqual(await unaryOf(both.connects));
    const early = makeBoth((await serving((_, session) => session.destroy())).url);
    expect(await streamOf(early.own)).toEqual(await streamOf(early.connects));
  });

  test("nobody there", async () => {
    const { url, server } = await serving(() => undefined);
    server.close();
    const both = makeBoth(url);
    expect(await unaryOf(both.own)).toEqual(await unaryOf(both.connects));
    expect(await streamOf(both.own)).toEqual(await streamOf(both.connects));
  });

  test("a deadline", async () => {
    const { url } = await serving((stream) => stream.respond(OK));
    const both = makeBoth(url);
    const options = { timeoutMs: 30 };
    expect(await unaryOf(both.own, options)).toEqual(await unaryOf(both.connects, options));
    expect(await streamOf(both.own, options)).toEqual(await streamOf(both.connects, options));
  });

  test("a caller who leaves, before it begins and while it waits", async () => {
    const { url } = await serving((stream) => stream.respond(OK));
    const both = makeBoth(url);
    const before = { signal: AbortSignal.abort(new Error("changed my mind")) };
    expect(await unaryOf(both.own, before)).toEqual(await unaryOf(both.connects, before));
    expect(await streamOf(both.own, before)).toEqual(await streamOf(both.connects, before));
    const later = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(20) });
    expect(await unaryOf(both.own, later())).toEqual(await unaryOf(both.connects, later()));
    expect(await streamOf(both.own, later())).toEqual(await streamOf(both.connects, later()));
  });

  test("a caller who leaves when everything is there already", async () => {
    const told: unknown[] = [];
    for (const which of ["own", "connects"] as const) {
      const pieces = [[RESULT("a"), RESULT("b"), RESULT("c")], [STATUS]];
      const { url } = await serving((stream, session) => void answering(pieces.shift() ?? [], FINE)(stream, session));
      const made = makeBoth(url)[which];
      const left = new AbortController();
      const options = { signal: left.signal };
      const reader = createClient(AgentService, made.transport).streamResults({}, options)[Symbol.asyncIterator]();
      const first = await reader.next();
      // What is answered later comes later.
      expect(await unaryOf(made)).toContain("t-1");
      left.abort(new Error("changed my mind"));
      const then = await reader.next().catch((error: unknown) => said(error));
      told.push([first.value?.cursor, then]);
    }
    expect(told[0]).toEqual(told[1]);
  });

  test("an interceptor that changes the request, looks at the answer, and fails", async () => {
    const { url } = await serving((stream, session) => {
      void answering([Buffer.concat([RESULT("a"), RESULT("b")])], { ...FINE, "x-end": "2" })(stream, session);
    });
    const seen: unknown[][] = [];
    const changing = (notes: unknown[], fails: boolean): Interceptor => {
      return (next) => async (request) => {
        request.header.set("x-set", "1");
        notes.push(request.url.replace(url, ""), request.method.name, request.stream, [...request.header]);
        const response = await next({ ...request, header: new Headers([...request.header, ["x-more", "2"]]) });
        if (fails) throw new ConnectError("no", Code.PermissionDenied);
        if (!response.stream) return response;
        async function* passed<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
          for await (const message of messages) {
            notes.push("message");
            yield message;
          }
        }
        return { ...response, message: passed(response.message) };
      };
    };
    for (const fails of [false, true]) {
      const told: unknown[] = [];
      for (const which of ["own", "connects"] as const) {
        const notes: unknown[] = [];
        seen.push(notes);
        told.push(await streamOf(makeBoth(url, [changing(notes, fails)])[which], { timeoutMs: 1_000 }));
      }
      expect(told[0]).toEqual(told[1]);
    }
    expect(seen[0]).toEqual(seen[1]);
    expect(seen[2]).toEqual(seen[3]);
  });
});

test("a request looks as Connect's does", async () => {
  const arrived: unknown[] = [];
  const { server, url } = await serving((stream, session) => void answering([STATUS], FINE)(stream, session));
  server.on("stream", (_, headers) => {
    const names = Object.entries(headers).filter(([name]) => name !== ":authority");
    arrived.push(Object.fromEntries(names));
  });
  const both = makeBoth(url);
  for (const options of [{}, { timeoutMs: 1_234 }, { headers: { "x-own": "1", "user-agent": "mine" } }]) {
    await unaryOf(both.own, options);
    await unaryOf(both.connects, options);
    expect(arrived.at(-2)).toEqual(arrived.at(-1));
  }
});

test("an interceptor's own signal, which outlives the calls, ends them, and nothing of them stays with it", async () => {
  let answers = true;
  const { url } = await serving((stream, session) => {
    if (answers) void answering([STATUS], FINE)(stream, session);
  });
  const lasting = new AbortController();
  const { own } = makeBoth(url, [(next) => (request) => next({ ...request, signal: lasting.signal })]);
  expect(await unaryOf(own)).toContain("t-1");
  expect(getEventListeners(lasting.signal, "abort")).toEqual([]);
  answers = false;
  const waiting = unaryOf(own);
  lasting.abort(new Error("shutting down"));
  expect(await waiting).toContainEqual(expect.objectContaining({ code: "Canceled", rawMessage: "shutting down" }));
});

test("a connection that its server lets go of finishes its calls, and the next call opens another", async () => {
  const found = await serving((stream, session) => {
    session.goaway();
    void answering([RESULT("a"), RESULT("b")], FINE)(stream, session);
  });
  const { own } = makeBoth(found.url);
  expect(await streamOf(own)).toContain("b");
  expect(await streamOf(own)).toContain("b");
  expect(found.sessions).toBe(2);
});

test("a call that is left tells its server so", async () => {
  const closed = Promise.withResolvers<number | undefined>();
  const { url } = await serving((stream) => {
    stream.once("close", () => closed.resolve(stream.rstCode));
    stream.respond(OK);
    stream.write(RESULT("a"));
  });
  const { own } = makeBoth(url);
  const left = new AbortController();
  const reading = streamOf(own, { signal: left.signal, onHeader: () => setImmediate(() => left.abort()) });
  expect(await reading).toContainEqual(expect.objectContaining({ code: "Canceled" }));
  expect(await closed.promise).toBe(8);
});

test("a reader who does not read keeps the server waiting, and gets everything", async () => {
  const count = 400;
  const large = RESULT("x".repeat(20_000));
  let accepted = 0;
  let first = true;
  const { url } = await serving(async (stream, session) => {
    if (!first) {
      await answering([STATUS], FINE)(stream, session);
      return;
    }
    first = false;
    stream.respond(OK, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers(FINE));
    for (; accepted < count; accepted += 1) {
      if (!stream.write(large)) await once(stream, "drain");
    }
    stream.end();
  });
  const { own } = makeBoth(url);
  const messages = createClient(AgentService, own.transport).streamResults({ taskId: "t-1" });
  const reader = messages[Symbol.asyncIterator]();
  await reader.next();
  // Other calls on the connection get through.
  for (let i = 0; i < 20; i += 1) expect(await unaryOf(own)).toContain("t-1");
  expect(accepted).toBeLessThan(count / 2);
  let read = 1;
  while ((await reader.next()).done !== true) read += 1;
  expect(read).toBe(count);
});
