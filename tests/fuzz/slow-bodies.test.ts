// Bodies that do not come, come too slowly, or are too many at once: on a real port, with limits short enough to wait for.
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, createClient, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentService, GetTaskRequestSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import { BlobService } from "../../gen/mycel/v1/blob_service_pb.ts";
import { createGrpcHandler } from "../../lib/rpc/grpc/grpc-handler.ts";
import { served } from "../../lib/rpc/grpc/grpc-route.ts";
import type { HttpHandler } from "../../lib/rpc/http-handler.ts";
import { withBodyLimits } from "../../lib/rpc/interceptors/body-limits.ts";
import { Intake } from "../../lib/rpc/interceptors/intake.ts";
import { type Listener, openListener } from "../../lib/rpc/listener/listener.ts";
import { readDetails } from "../../lib/rpc/rich-error.ts";
import { openRawConnection } from "../support/raw-connection.ts";
import { failureOf } from "../support/rpc-call.ts";
import { envelope, FLAG, FRAME, frame, grpcHeaders, openRawHttp2, type RawHttp2 } from "../support/raw-http2.ts";

const TIMEOUT_MS = 300;
const MAX_HELD_BYTES = 1_000_000;
const UNARY = "/mycel.v1.AgentService/GetTask";
const STREAM = "/mycel.v1.BlobService/UploadBlob";
const message = envelope(toBinary(GetTaskRequestSchema, create(GetTaskRequestSchema, { taskId: "t" })));

const agents: Partial<ServiceImpl<typeof AgentService>> = { getTask: ({ taskId }) => ({ task: { taskId } }) };

let listener: Listener;
const headers = (stream: number, path: string): Buffer =>
  frame(FRAME.headers, FLAG.endHeaders, stream, grpcHeaders(path));
const data = (stream: number, bytes: Uint8Array, flags: number = 0): Buffer => frame(FRAME.data, flags, stream, bytes);

/** The text of the trailers with which a stream ends; the server's HPACK leaves most of it readable. */
async function endOf(connection: RawHttp2, stream: number): Promise<number | undefined> {
  const end = await connection.find(
    (frame) => frame.stream === stream && (frame.type === FRAME.rstStream || (frame.flags & FLAG.endStream) > 0),
  );
  return end?.type;
}

describe.for(["directly", "by Connect"] as const)("answered %s:", (how) => {
  beforeEach(async () => {
    const rpc = connectNodeAdapter({
      routes: (router) => {
        router.service(AgentService, agents);
        router.service(BlobService, {
          async uploadBlob(requests) {
            let size = 0;
            for await (const { part } of requests) size += part.case === "chunk" ? part.value.length : 0;
            return { blob: { sizeBytes: BigInt(size) } };
          },
        });
      },
    });
    const intake = new Intake({ maxHeldBytes: MAX_HELD_BYTES, messageTimeoutMs: TIMEOUT_MS });
    const handler = withBodyLimits(rpc, { intake, clientStreams: new Set([STREAM]) });
    const direct = createGrpcHandler({
      services: [served(AgentService, agents)],
      interceptors: [],
      acceptCompression: [],
      readMaxBytes: 4_000_000,
      writeMaxBytes: 4_000_000,
      binaryOptions: {},
      intake,
      shutdownSignal: new AbortController().signal,
    });
    listener = await openListener({
      handler,
      ...(how === "directly" ? { direct } : {}),
      limits: { firstByteTimeoutMs: 60_000 },
    });
  });
  afterEach(() => listener[Symbol.asyncDispose]());

  describe("a body that does not come", () => {
    test.for([
      ["at all", []],
      ["whole, for want of its last byte", [message.subarray(0, -1)]],
      ["to its end, though its message is there", [message]],
    ] as const)("%s ends its call, its stream is closed, and the connection goes on", async ([, pieces]) => {
      await using connection = await openRawHttp2(listener.url);
      await connection.send(headers(1, UNARY), ...pieces.map((piece) => data(1, piece)));
      expect(await endOf(connection, 1)).toBeDefined();
      // Without this the client could keep the stream half open for as long as it likes.
      await connection.find(({ type, stream }) => type === FRAME.rstStream && stream === 1);
      await connection.send(headers(3, UNARY), data(3, message, FLAG.endStream));
      expect(await endOf(connection, 3)).toBe(FRAME.headers);
    });

    test("may be awaited between the messages of a stream", async () => {
      for (const open of [
        createGrpcTransport,
        (options: { baseUrl: string }) => createConnectTransport({ ...options, httpVersion: "2" }),
      ]) {
        const client = createClient(BlobService, open({ baseUrl: listener.url }));
        // The client library sends whole messages, so a stream stands still only between them: which is allowed.
        let finish: () => void = () => undefined;
        const held = new Promise<void>((resolve) => (finish = resolve));
        const upload = client.uploadBlob(
          (async function* chunks() {
            yield { part: { case: "open" as const, value: {} } };
            await held;
            yield { part: { case: "chunk" as const, value: new Uint8Array(10) } };
          })(),
        );
        setTimeout(finish, TIMEOUT_MS * 2);
        expect((await upload).blob?.sizeBytes).toBe(10n);
      }
    });

    test("in the middle of a message of a stream ends the call", async () => {
      await using connection = await openRawHttp2(listener.url);
      await connection.send(headers(1, STREAM), data(1, envelope(new Uint8Array(100)).subarray(0, 50)));
      expect(await endOf(connection, 1)).toBeDefined();
    });

    test("over HTTP/1.1 is DEADLINE_EXCEEDED", async () => {
      await using connection = await openRawConnection(listener.address.port);
      const head = `POST ${UNARY} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"a`;
      connection.socket.write(head);
      const answer = (await connection.until((received) => received.includes("REQUEST_TIMEOUT"))).toString();
      expect(answer).toContain("504");
      expect(answer).toContain("deadline_exceeded");
    });
  });

  describe("bodies that are too many at once", () => {
    test("are refused beyond their bound, and taken again when others are gone", async () => {
      await using connection = await openRawHttp2(listener.url);
      const window = frame(FRAME.windowUpdate, 0, 0, Buffer.of(0x3f, 0, 0, 0));
      const part = envelope(new Uint8Array(60_000), 0, 100_000);
      await connection.send(window);
      const streams = Array.from({ length: 20 }, (_, i) => 1 + 2 * i);
      for (const stream of streams) {
        await connection.send(
          headers(stream, STREAM),
          ...[0, 1, 2, 3].map((i) => data(stream, part.subarray(i * 16_000, (i + 1) * 16_000))),
        );
      }
      // 20 times 60,000 bytes are more than may be held: some calls end before their time is over, all in the end.
      for (const stream of streams) expect(await endOf(connection, stream)).toBeDefined();
      const transport =
        how === "directly"
          ? createGrpcTransport({ baseUrl: listener.url })
          : createConnectTransport({ baseUrl: listener.url, httpVersion: "1.1" });
      const client = createClient(AgentService, transport);
      expect(await client.getTask({ taskId: "x".repeat(900_000) })).toMatchObject({ task: {} });
      const refused = await failureOf(client.getTask({ taskId: "x".repeat(MAX_HELD_BYTES) }));
      expect(refused.code).toBe(Code.ResourceExhausted);
      expect(readDetails(refused)).toMatchObject({ reason: "REQUESTS_TOO_LARGE", retryDelayMs: 1_000 });
      expect(await client.getTask({ taskId: "x".repeat(900_000) })).toMatchObject({ task: {} });
    });

    test("of a stream count only while a message is unfinished", async () => {
      const client = createClient(BlobService, createGrpcTransport({ baseUrl: listener.url }));
      async function* chunks() {
        for (let i = 0; i < 30; i += 1) yield { part: { case: "chunk" as const, value: new Uint8Array(200_000) } };
      }
      expect((await client.uploadBlob(chunks())).blob?.sizeBytes).toBe(6_000_000n);
    });
  });
});

describe("a message in pieces of one byte", () => {
  const SIZE = 20_000;
  const body = envelope(Buffer.from(Array.from({ length: SIZE }, (_, i) => i % 251)));

  async function piecesOf(type: string, path: string): Promise<Uint8Array[]> {
    const read = Promise.withResolvers<Uint8Array[]>();
    const handler: HttpHandler = (request, response) => {
      Array.fromAsync(request as AsyncIterable<Uint8Array>)
        .then(read.resolve, read.reject)
        .finally(() => response.end());
    };
    const intake = new Intake({ maxHeldBytes: MAX_HELD_BYTES });
    const bounded = withBodyLimits(handler, { intake, clientStreams: new Set([STREAM]) });
    await using port = await openListener({ handler: bounded });
    await using connection = await openRawHttp2(port.url);
    const head = grpcHeaders(path, [], type);
    // One write for all: they wait on the server's side.
    const bytes = Array.from(body, (byte) => data(1, Buffer.of(byte)));
    await connection.send(frame(FRAME.headers, FLAG.endHeaders, 1, head), Buffer.concat(bytes));
    await connection.send(data(1, Buffer.alloc(0), FLAG.endStream));
    return await read.promise;
  }

  test.for([
    ["of a stream", "application/grpc", STREAM],
    ["of gRPC-Web", "application/grpc-web+proto", UNARY],
    ["of Connect", "application/proto", UNARY],
  ] as const)("%s is read in few pieces, each as large as what was read before", async ([, type, path]) => {
    const pieces = await piecesOf(type, path);
    expect(Buffer.concat(pieces)).toEqual(body);
    // Whoever joins them copies what it has with each of them, twice the message in all: with 20,000 pieces, 10,000 times.
    expect(pieces.length).toBeLessThan(30);
  });

  test("is refused for its size as soon as that is known", async () => {
    const rpc = connectNodeAdapter({
      routes: (router) => {
        router.service(BlobService, {
          uploadBlob: async (requests) => ({ blob: { sizeBytes: BigInt((await Array.fromAsync(requests)).length) } }),
        });
      },
      readMaxBytes: 1_000,
    });
    const handler = withBodyLimits(rpc, { intake: new Intake(), clientStreams: new Set([STREAM]) });
    await using port = await openListener({ handler });
    await using connection = await openRawHttp2(port.url);
    const bytes = Array.from(envelope(Buffer.alloc(0), 0, 2_000), (byte) => data(1, Buffer.of(byte)));
    await connection.send(headers(1, STREAM), ...bytes);
    expect(await endOf(connection, 1)).toBeDefined();
  });
});
