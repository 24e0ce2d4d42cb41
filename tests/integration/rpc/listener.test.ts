// What the listener promises, over real sockets.
import { once } from "node:events";
import * as http2 from "node:http2";
import { Agent, request as httpRequest } from "node:http";
import { createServer } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus } from "../../../gen/health/v1/health_pb.ts";
import { openListener } from "../../../lib/rpc/listener/listener.ts";
import { ListenError } from "../../../lib/rpc/listener/listen-error.ts";
import { openRawConnection } from "../../support/raw-connection.ts";
import { iteratorOf } from "../../support/rpc-call.ts";
import { openRpcServer } from "../../support/rpc-server.ts";

const { SERVING } = HealthCheckResponse_ServingStatus;
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const SETTINGS_ACK = Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0]);

// The types of the HTTP/2 frames that a server sent, in order.
function frameTypes(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    types.push(bytes[at + 3]!);
  }
  return types;
}
const FRAME_HEADERS = 1;
const FRAME_RST_STREAM = 3;
const FRAME_SETTINGS = 4;
const FRAME_PING = 6;
const FRAME_GOAWAY = 7;

describe("one port", () => {
  const transports: [string, (baseUrl: string) => Transport][] = [
    ["gRPC over HTTP/2", (baseUrl) => createGrpcTransport({ baseUrl })],
    ["gRPC-Web over HTTP/1.1", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
    ["gRPC-Web over HTTP/2", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
    ["Connect over HTTP/1.1", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
    ["Connect over HTTP/2", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })],
  ];

  test.for(transports)("serves unary calls and streams of %s", async ([, transport]) => {
    await using server = await openRpcServer();
    const client = createClient(Health, transport(server.url));
    expect((await client.check({ service: "" })).status).toBe(SERVING);

    const controller = new AbortController();
    const seen: number[] = [];
    const watching = (async () => {
      for await (const { status } of client.watch({ service: "later" }, { signal: controller.signal })) {
        seen.push(status);
        if (status === SERVING) {
          controller.abort();
        } else {
          server.health.set("later", "SERVING");
        }
      }
    })();
    await expect(watching).rejects.toMatchObject({ code: Code.Canceled });
    expect(seen).toEqual([HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN, SERVING]);
    await expect.poll(() => server.health.watchers).toBe(0);
  });

  test("answers a plain JSON POST", async () => {
    await using server = await openRpcServer();
    const response = await fetch(`${server.url}/grpc.health.v1.Health/Check`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: "SERVING" });
  });

  test("recognises an HTTP/2 preface that arrives byte by byte", async () => {
    await using server = await openRpcServer();
    await using raw = await openRawConnection(server.port);
    raw.socket.setNoDelay(true);
    for (const byte of PREFACE) {
      await new Promise<void>((resolve) => {
        raw.socket.write(Buffer.from([byte]), () => resolve());
      });
    }
    raw.socket.write(EMPTY_SETTINGS);
    const bytes = await raw.until((received) => frameTypes(received).length >= 2);
    expect(frameTypes(bytes)[0]).toBe(FRAME_SETTINGS);
  });

  test.for([
    ["P", "ROPFIND / HTTP/1.1", 404],
    ["PRI", " / HTTP/1.1", 400],
  ] as const)("takes %s%s for HTTP/1, though it begins like the HTTP/2 preface", async ([begin, rest, status]) => {
    await using server = await openRpcServer();
    await using raw = await openRawConnection(server.port);
    raw.socket.setNoDelay(true);
    await new Promise<void>((resolve) => {
      raw.socket.write(begin, () => resolve());
    });
    raw.socket.write(`${rest}\r\nhost: x\r\nconnection: close\r\n\r\n`);
    expect((await raw.closed).toString()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  test("answers a client that ends its side after the request", async () => {
    await using server = await openRpcServer();
    await using raw = await openRawConnection(server.port);
    raw.socket.end(
      "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
    );
    expect((await raw.closed).toString()).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("listens on IPv6 and shows a URL that works", async () => {
    await using server = await openRpcServer({ listener: { host: "::1" } });
    expect(server.url).toBe(`http://[::1]:${server.port}`);
    const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
    expect((await client.check({})).status).toBe(SERVING);
  });
});

describe("limits", () => {
  test.for([
    ["is silent", Buffer.alloc(0)],
    ["stops within the HTTP/2 preface", PREFACE.subarray(0, 10)],
    ["never acknowledges the HTTP/2 settings", Buffer.concat([PREFACE, EMPTY_SETTINGS])],
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
    expect(changed.every(({ value }) => value?.status === HealthCheckResponse_ServingStatus.NOT_SERVING)).toBe(true);

    const endings = streams.map((stream) => stream.next());
    controller.abort();
    await Promise.allSettled(endings);
    await expect.poll(() => server.health.watchers).toBe(0);
    expect((await client.check({})).status).toBe(HealthCheckResponse_ServingStatus.NOT_SERVING);
    expect(server.listener.connections).toBe(1);
  });

  test("an HTTP/2 peer that ends its side of the connection is gone, and its calls with it", async () => {
    await using server = await openRpcServer();
    await using raw = await openRawConnection(server.port);
    const path = Buffer.from("/grpc.health.v1.Health/Watch");
    const fields = [":authority", "x", "content-type", "application/grpc", "te", "trailers"].map((text) =>
      Buffer.concat([Buffer.of(text.length), Buffer.from(text)]),
    );
    // HPACK by hand: `:method: POST`, `:scheme: http`, and the others as literals.
    const literals = [0, 2, 4].flatMap((at) => [Buffer.of(0), fields[at]!, fields[at + 1]!]);
    const headers = Buffer.concat([Buffer.of(0x83, 0x86, 0x04, path.length), path, ...literals]);
    const call = Buffer.from([0, 0, headers.length, FRAME_HEADERS, 0x04, 0, 0, 0, 1]);
    const body = Buffer.from([0, 0, 5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    raw.socket.write(Buffer.concat([PREFACE, EMPTY_SETTINGS, SETTINGS_ACK, call, headers, body]));
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

    await using dead = await openRawConnection(server.port);
    dead.socket.write(Buffer.concat([PREFACE, EMPTY_SETTINGS, SETTINGS_ACK]));
    expect(frameTypes(await dead.closed)).toContain(FRAME_PING);

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
    await using raw = await openRawConnection(server.port);
    const path = Buffer.from("/grpc.health.v1.Health/Check");
    // HPACK by hand: `:method: POST`, `:scheme: http`, and `:path` as a literal.
    const headers = Buffer.concat([Buffer.from([0x83, 0x86, 0x04, path.length]), path]);
    const frame = Buffer.from([0, 0, headers.length, FRAME_HEADERS, 0x05, 0, 0, 0, 1]);
    raw.socket.write(Buffer.concat([PREFACE, EMPTY_SETTINGS, SETTINGS_ACK, frame, headers]));
    const bytes = await raw.until((received) => frameTypes(received).includes(FRAME_RST_STREAM));
    expect(frameTypes(bytes)).not.toContain(FRAME_HEADERS);
    expect(frameTypes(bytes)).not.toContain(FRAME_GOAWAY);
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
});

describe("opening", () => {
  test("a taken port is one clear coded error", async () => {
    await using server = await openRpcServer();
    const opening = openListener({ handler: () => undefined, port: server.port });
    await expect(opening).rejects.toBeInstanceOf(ListenError);
    await expect(opening).rejects.toMatchObject({
      code: "PORT_TAKEN",
      host: "127.0.0.1",
      port: server.port,
      message: `port ${server.port} on 127.0.0.1 is already in use`,
    });
  });

  test("an address of another machine is one clear coded error", async () => {
    const opening = openListener({ handler: () => undefined, host: "192.0.2.1" });
    await expect(opening).rejects.toMatchObject({ code: "ADDRESS_UNAVAILABLE", host: "192.0.2.1" });
  });
});

describe("drain", () => {
  // A server whose stream says `1`, then waits for the gate, then says `2` and ends.
  async function openGated(): Promise<
    Awaited<ReturnType<typeof openRpcServer>> & { gate: PromiseWithResolvers<void>; aborted: Promise<unknown> }
  > {
    const gate = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<unknown>();
    const server = await openRpcServer({
      routes: (router) =>
        router.service(Health, {
          check: () => ({ status: SERVING }),
          async *watch(_, { signal }) {
            signal.addEventListener("abort", () => aborted.resolve(signal.reason));
            yield { status: 1 };
            await gate.promise;
            yield { status: 2 };
          },
        }),
    });
    return { ...server, gate, aborted: aborted.promise };
  }

  test.for(["1.1", "2"] as const)("lets an HTTP/%s stream finish and refuses what is new", async (httpVersion) => {
    await using server = await openGated();
    const transport = createConnectTransport({ baseUrl: server.url, httpVersion });
    const stream = iteratorOf(createClient(Health, transport).watch({}));
    await stream.next();

    const draining = server.listener.drain(30_000);
    const late = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
    await expect(late.check({})).rejects.toMatchObject({ code: Code.Unavailable });
    expect(server.listener.connections).toBe(1);

    server.gate.resolve();
    expect((await stream.next()).value?.status).toBe(2);
    expect((await stream.next()).done).toBe(true);
    expect(await draining).toEqual({ forced: 0 });
    expect(server.listener.connections).toBe(0);
  });

  test("sends GOAWAY to an HTTP/2 peer and refuses its new streams while an old one runs", async () => {
    await using server = await openGated();
    const session = http2.connect(server.url);
    const open = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Watch",
      "content-type": "application/grpc",
    });
    open.end(Buffer.alloc(5));
    await once(open, "response");
    const goaway = once(session, "goaway");
    const draining = server.listener.drain(30_000);
    expect((await goaway)[0]).toBe(http2.constants.NGHTTP2_NO_ERROR);
    const [refused] = await once(session.request({ ":path": "/" }), "error").catch((error: unknown) => [error]);
    expect(refused).toMatchObject({ code: "ERR_HTTP2_GOAWAY_SESSION" });
    open.resume();
    server.gate.resolve();
    await once(open, "close");
    expect(await draining).toEqual({ forced: 0 });
  });

  test("closes idle keep-alive connections at once and marks running responses as the last", async () => {
    const arrived = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const listener = await openListener({
      handler: (request, response) => {
        if (request.url === "/slow") {
          arrived.resolve();
          void gate.promise.then(() => response.end("done"));
        } else {
          response.end("quick");
        }
      },
    });
    const agent = new Agent({ keepAlive: true });
    const get = async (path: string): Promise<{ connection: string | undefined; body: string }> => {
      const request = httpRequest(`${listener.url}${path}`, { agent }).end();
      const [response] = await once(request, "response");
      let body = "";
      for await (const chunk of response) {
        body += String(chunk);
      }
      return { connection: response.headers.connection, body };
    };
    const slow = get("/slow");
    expect(await get("/quick")).toEqual({ connection: "keep-alive", body: "quick" });
    await arrived.promise;
    expect(listener.connections).toBe(2);

    const draining = listener.drain(30_000);
    await expect.poll(() => listener.connections).toBe(1);
    gate.resolve();
    expect(await slow).toEqual({ connection: "close", body: "done" });
    expect(await draining).toEqual({ forced: 0 });
    agent.destroy();
  });

  test("cuts what is still busy when the grace is over, and tells the handler", async () => {
    await using server = await openGated();
    const stream = iteratorOf(createClient(Health, createGrpcTransport({ baseUrl: server.url })).watch({}));
    await stream.next();
    const rest = expect(stream.next()).rejects.toBeInstanceOf(ConnectError);
    expect(await server.listener.drain(1)).toEqual({ forced: 1 });
    await rest;
    await server.aborted;
    server.gate.resolve();
  });

  test("a later, shorter grace wins", async () => {
    await using server = await openGated();
    const stream = iteratorOf(createClient(Health, createGrpcTransport({ baseUrl: server.url })).watch({}));
    await stream.next();
    const rest = expect(stream.next()).rejects.toBeInstanceOf(ConnectError);
    const patient = server.listener.drain(3_600_000);
    expect(await server.listener.drain(0)).toEqual({ forced: 1 });
    expect(await patient).toEqual({ forced: 1 });
    await rest;
    server.gate.resolve();
  });

  test("closes connections that have not said anything yet, and frees the port", async () => {
    const server = await openRpcServer();
    await using raw = await openRawConnection(server.port);
    await expect.poll(() => server.listener.connections).toBe(1);
    expect(await server.listener.drain(30_000)).toEqual({ forced: 0 });
    await raw.closed;

    const again = createServer().listen(server.port, "127.0.0.1");
    await once(again, "listening");
    again.close();
  });

  test("disposing twice is fine", async () => {
    const server = await openRpcServer();
    await server[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    expect(server.listener.connections).toBe(0);
  });
});

test("GOAWAY reaches a raw peer on drain", async () => {
  const server = await openRpcServer();
  await using raw = await openRawConnection(server.port);
  raw.socket.write(Buffer.concat([PREFACE, EMPTY_SETTINGS, SETTINGS_ACK]));
  await raw.until((received) => frameTypes(received).includes(FRAME_SETTINGS));
  await server.listener.drain(30_000);
  expect(frameTypes(await raw.closed)).toContain(FRAME_GOAWAY);
});
