// How the listener stops: what runs may finish, what is new is refused, and nobody outstays the grace. Over real sockets.
import { once } from "node:events";
import * as http2 from "node:http2";
import { Agent, request as httpRequest } from "node:http";
import { createServer } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus } from "../../../gen/health/v1/health_pb.ts";
import { openListener } from "../../../lib/rpc/listener/listener.ts";
import { openRawConnection } from "../../support/raw-connection.ts";
import { FRAME, openRawHttp2 } from "../../support/raw-http2.ts";
import { iteratorOf } from "../../support/rpc-call.ts";
import { openRpcServer, type RpcServer } from "../../support/rpc-server.ts";

const { SERVING } = HealthCheckResponse_ServingStatus;

// A server whose stream says `1`, then waits for the gate, then says `2` and ends.
async function openGated(): Promise<RpcServer & { gate: PromiseWithResolvers<void>; aborted: Promise<unknown> }> {
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

test.for(["1.1", "2"] as const)(
  "draining lets an HTTP/%s stream finish and refuses what is new",
  async (httpVersion) => {
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
  },
);

test("draining sends GOAWAY to an HTTP/2 peer and refuses its new streams while an old one runs", async () => {
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

test("draining closes idle keep-alive connections at once and marks running responses as the last", async () => {
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

test("draining cuts what is still busy when the grace is over, and tells the handler", async () => {
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

test("draining closes connections that have not said anything yet, and frees the port", async () => {
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

test("draining says GOAWAY to an HTTP/2 peer that is idle", async () => {
  const server = await openRpcServer();
  await using raw = await openRawHttp2(server.url);
  await raw.find(({ type }) => type === FRAME.settings);
  await server.listener.drain(30_000);
  await raw.closed;
  expect(raw.frames().map(({ type }) => type)).toContain(FRAME.goaway);
});
