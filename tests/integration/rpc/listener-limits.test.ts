// What one peer may cost the listener, and how it is told off: over real sockets.
import { once } from "node:events";
import * as http2 from "node:http2";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus } from "../../../gen/health/v1/health_pb.ts";
import { openListener } from "../../../lib/rpc/listener/listener.ts";
import { openRawConnection } from "../../support/raw-connection.ts";
import {
  envelope,
  FLAG,
  FRAME,
  frame,
  grpcHeaders,
  headerBlock,
  openRawHttp2,
  PREFACE,
} from "../../support/raw-http2.ts";
import { iteratorOf } from "../../support/rpc-call.ts";
import { openRpcServer } from "../../support/rpc-server.ts";

const { SERVING, NOT_SERVING } = HealthCheckResponse_ServingStatus;

test.for([
  ["is silent", Buffer.alloc(0)],
  ["stops within the HTTP/2 preface", PREFACE.subarray(0, 10)],
  ["never acknowledges the HTTP/2 settings", Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0)])],
] as const)("a connection that %s is closed", async ([, bytes]) => {
  await using server = await openRpcServer({ listener: { limits: { firstByteTimeoutMs: 50 } } });
  await using raw = await openRawConnection(server.port);
  raw.socket.write(bytes);
  await raw.closed;
  await expect.poll(() => server.listener.connections).toBe(0);
});

test("garbage is refused with 400 and the connection closed", async () => {
  await using server = await openRpcServer();
  await using raw = await openRawConnection(server.port);
  raw.socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]));
  expect((await raw.closed).toString()).toMatch(/^HTTP\/1\.1 400 /);
});

test("HTTP/1 headers that never end are refused with 408, while an older streamed response goes on", async () => {
  const gate = Promise.withResolvers<void>();
  await using server = await openRpcServer({
    listener: { limits: { headersTimeoutMs: 300, requestTimeoutMs: 300 } },
    routes: (router) =>
      router.service(Health, {
        async *watch() {
          yield { status: 1 };
          await gate.promise;
          yield { status: 2 };
        },
      }),
  });
  const client = createClient(Health, createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" }));
  const stream = iteratorOf(client.watch({}));
  expect((await stream.next()).value?.status).toBe(1);

  // Refused only after both timeouts: by then the stream is older than they allow a request to be.
  await using raw = await openRawConnection(server.port);
  raw.socket.write("GET / HTTP/1.1\r\nhost: x\r\n");
  expect((await raw.closed).toString()).toMatch(/^HTTP\/1\.1 408 /);

  gate.resolve();
  expect((await stream.next()).value?.status).toBe(2);
  expect((await stream.next()).done).toBe(true);
});

test("too large HTTP/1 headers are refused with 431", async () => {
  await using server = await openRpcServer();
  await using raw = await openRawConnection(server.port);
  raw.socket.write(`GET / HTTP/1.1\r\nhost: x\r\nbig: ${"x".repeat(20_000)}\r\n\r\n`);
  expect((await raw.closed).toString()).toMatch(/^HTTP\/1\.1 431 /);
});

test("too large HTTP/2 headers end the stream, not the server", async () => {
  await using server = await openRpcServer();
  const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
  const headers = { big: "x".repeat(20_000) };
  // The first request leaves before the client has seen the server's limit, the second one after.
  await expect(client.check({}, { headers })).rejects.toBeInstanceOf(ConnectError);
  await expect(client.check({}, { headers })).rejects.toBeInstanceOf(ConnectError);
  expect((await client.check({})).status).toBe(SERVING);
});

test.for([
  ["in all", { maxConnections: 1, maxConnectionsPerPeer: 100 }],
  ["per peer", { maxConnections: 100, maxConnectionsPerPeer: 1 }],
] as const)("one connection more than the cap %s is closed", async ([, limits]) => {
  await using server = await openRpcServer({ listener: { limits } });
  const first = await openRawConnection(server.port);
  await expect.poll(() => server.listener.connections).toBe(1);
  await using second = await openRawConnection(server.port);
  expect(await second.closed).toHaveLength(0);
  await first[Symbol.asyncDispose]();
  await expect.poll(() => server.listener.connections).toBe(0);
  await using third = await openRawConnection(server.port);
  third.socket.write("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  expect((await third.closed).toString()).toMatch(/^HTTP\/1\.1 404 /);
});

test("one connection carries 1,000 streams at once and survives that all are dropped together", async () => {
  await using server = await openRpcServer();
  const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
  const controller = new AbortController();
  const streams = Array.from({ length: 1000 }, () =>
    iteratorOf(client.watch({ service: "" }, { signal: controller.signal })),
  );
  await Promise.all(streams.map((stream) => stream.next()));
  expect(server.health.watchers).toBe(1000);
  expect(server.listener.connections).toBe(1);

  server.health.set("", "NOT_SERVING");
  const changed = await Promise.all(streams.map((stream) => stream.next()));
  expect(changed.every(({ value }) => value?.status === NOT_SERVING)).toBe(true);

  const endings = streams.map((stream) => stream.next());
  controller.abort();
  await Promise.allSettled(endings);
  await expect.poll(() => server.health.watchers).toBe(0);
  expect((await client.check({})).status).toBe(NOT_SERVING);
  expect(server.listener.connections).toBe(1);
});

test("an HTTP/2 peer that ends its side of the connection is gone, and its calls with it", async () => {
  await using server = await openRpcServer();
  await using raw = await openRawHttp2(server.url);
  const call = frame(FRAME.headers, FLAG.endHeaders, 1, grpcHeaders("/grpc.health.v1.Health/Watch"));
  await raw.send(call, frame(FRAME.data, FLAG.endStream, 1, envelope(new Uint8Array())));
  await expect.poll(() => server.health.watchers).toBe(1);
  raw.socket.end();
  await expect.poll(() => server.health.watchers).toBe(0);
  await expect.poll(() => server.listener.connections).toBe(0);
});

test("an HTTP/2 peer that does not answer pings is closed, one that does stays", async () => {
  await using server = await openRpcServer({ listener: { limits: { pingIntervalMs: 20, pingTimeoutMs: 300 } } });
  const alive = http2.connect(server.url);
  await once(alive, "remoteSettings");
  let pings = 0;
  alive.on("ping", () => (pings += 1));

  await using dead = await openRawHttp2(server.url);
  await dead.closed;
  expect(dead.frames().map(({ type }) => type)).toContain(FRAME.ping);

  expect(pings).toBeGreaterThan(0);
  expect(alive.destroyed).toBe(false);
  alive.destroy();
});

test.for([
  ["GET / HTTP/1.0\r\n\r\n", "no host"],
  ["GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n", "a malformed host"],
])("a call with %s is refused with 400, and the server lives on", async ([request]) => {
  await using server = await openRpcServer();
  await using raw = await openRawConnection(server.port);
  raw.socket.write(request!.replace(" / ", " /grpc.health.v1.Health/Check ").replace("GET", "POST"));
  expect((await raw.closed).toString()).toMatch(/^HTTP\/1\.1 400 /);
  const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
  expect((await client.check({})).status).toBe(SERVING);
});

test("an HTTP/2 call without an authority is reset, and the connection lives on", async () => {
  await using server = await openRpcServer();
  await using raw = await openRawHttp2(server.url);
  const headers = headerBlock([
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/grpc.health.v1.Health/Check"],
  ]);
  await raw.send(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, headers));
  expect(await raw.find(({ type }) => type === FRAME.rstStream)).toBeDefined();
  const types = raw.frames().map(({ type }) => type);
  expect(types).not.toContain(FRAME.headers);
  expect(types).not.toContain(FRAME.goaway);
  const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
  expect((await client.check({})).status).toBe(SERVING);
});

test("a handler that throws is reported once and answered with 500", async () => {
  const reported: unknown[] = [];
  const failure = new Error("secret");
  await using listener = await openListener({
    handler: () => {
      throw failure;
    },
    onUnexpected: (error) => reported.push(error),
  });
  const response = await fetch(listener.url);
  expect([response.status, await response.text()]).toEqual([500, "internal error"]);
  expect(reported).toEqual([failure]);
});
