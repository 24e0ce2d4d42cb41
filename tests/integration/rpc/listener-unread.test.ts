// Peers that come and then do nothing: they don't read what they asked for, or don't ask. Over real sockets.
import { once } from "node:events";
import * as http2 from "node:http2";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { Health } from "../../../gen/health/v1/health_pb.ts";
import type { HttpHandler } from "../../../lib/rpc/http-handler.ts";
import { openListener } from "../../../lib/rpc/listener/listener.ts";
import { createClient as createMycelClient } from "../../../sdk/client/index.ts";
import { openRawConnection } from "../../support/raw-connection.ts";
import { FLAG, FRAME, frame, grpcHeaders, openRawHttp2 } from "../../support/raw-http2.ts";
import { iteratorOf } from "../../support/rpc-call.ts";
import { openRpcServer } from "../../support/rpc-server.ts";

const MiB = 1024 * 1024;

/** Answers every request with so many bytes. */
function answering(bytes: number): HttpHandler {
  const body = Buffer.alloc(bytes, 1);
  return (_, response) => {
    response.writeHead(200);
    response.end(body);
  };
}

const portOf = (url: string): number => Number(new URL(url).port);

describe("an answer that nobody reads", () => {
  const limits = { sendTimeoutMs: 200 };

  test("over HTTP/1.1 does not wait for ever", async () => {
    await using listener = await openListener({ handler: answering(64 * MiB), limits });
    await using raw = await openRawConnection(portOf(listener.url));
    raw.socket.pause();
    raw.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await expect.poll(() => listener.connections, { timeout: 10_000 }).toBe(1);
    await expect.poll(() => listener.connections, { timeout: 10_000 }).toBe(0);
  });

  test("over HTTP/2 does not wait for ever, though its peer goes on talking", async () => {
    await using listener = await openListener({ handler: answering(8 * MiB), limits });
    await using raw = await openRawHttp2(listener.url);
    // No byte of an answer may be sent without the peer's leave, and it gives none.
    const noWindow = Buffer.from([0, 4, 0, 0, 0, 0]);
    await raw.send(frame(FRAME.settings, 0, 0, noWindow));
    for (let stream = 1; stream < 40; stream += 2) {
      await raw.send(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, stream, grpcHeaders("/")));
    }
    const talking = setInterval(() => void raw.send(frame(FRAME.settings, 0, 0)), 500);
    await raw.closed;
    clearInterval(talking);
    await expect.poll(() => listener.connections).toBe(0);
  });

  test("waits as long as it likes if it is small, and if it moves on", async () => {
    await using listener = await openListener({ handler: answering(64 * 1024), limits });
    await using slow = await openListener({ handler: answering(12 * MiB), limits: { sendTimeoutMs: 400 } });
    const session = http2.connect(listener.url);
    const small = session.request({ ":path": "/" });
    await once(small, "response");
    const large = http2.connect(slow.url);
    const moving = large.request({ ":path": "/" });
    let read = 0;
    // A megabyte at a time, with breaks that together are longer than the limit.
    for await (const piece of moving) {
      const before = Math.floor(read / MiB);
      read += (piece as Buffer).length;
      if (Math.floor(read / MiB) > before) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(read).toBe(12 * MiB);
    let rest = 0;
    for await (const piece of small) rest += (piece as Buffer).length;
    expect(rest).toBe(64 * 1024);
    session.close();
    large.close();
  });

  test("of many peers together is bounded: those for whom most waits are cut off, the others not", async () => {
    const handler: HttpHandler = (request, response) => {
      response.writeHead(200);
      response.end(Buffer.alloc(request.url === "/large" ? 48 * MiB : 1024, 1));
    };
    // Long enough that none is cut for having stood still.
    const limits = { sendTimeoutMs: 3_600_000, maxUnsentBytes: 32 * MiB };
    await using listener = await openListener({ handler, limits });
    await using small = await openRawConnection(portOf(listener.url));
    small.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await small.until((bytes) => bytes.length > 1024);
    await using large = await openRawConnection(portOf(listener.url));
    large.socket.pause();
    large.socket.write("GET /large HTTP/1.1\r\nhost: x\r\n\r\n");
    await expect.poll(() => listener.connections, { timeout: 15_000 }).toBe(1);
    small.socket.write("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    expect((await small.closed).toString("latin1").match(/HTTP\/1\.1 200/g)).toHaveLength(2);
  });
});

describe("an HTTP/2 connection without calls", () => {
  test("is told to go, and its client comes back for the next call", async () => {
    await using server = await openRpcServer({ listener: { limits: { idleTimeoutMs: 100 } } });
    const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
    for (let i = 0; i < 3; i += 1) {
      expect((await client.check({})).status).toBe(1);
      await expect.poll(() => server.listener.connections, { timeout: 5_000 }).toBe(0);
    }
  });

  test("is told to go, and the SDK's client comes back without a failure, even if it calls at that very moment", async () => {
    await using server = await openRpcServer({
      listener: { limits: { idleTimeoutMs: 20 } },
      routes: (router) => router.service(AgentService, { listAgents: () => ({ agents: [] }) }),
    });
    await using client = createMycelClient({ url: server.url });
    const begunMs = performance.now();
    // At every distance from the moment in which the connection is told to go.
    for (let i = 0; performance.now() - begunMs < 2_000; i += 1) {
      expect((await client.rpc.listAgents({})).agents).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, i % 40));
    }
  }, 20_000);

  test("stays as long as it carries one, silent as it may be", async () => {
    await using server = await openRpcServer({ listener: { limits: { idleTimeoutMs: 50 } } });
    const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
    const left = new AbortController();
    const watch = iteratorOf(client.watch({}, { signal: left.signal }));
    expect((await watch.next()).value?.status).toBe(1);
    // Another connection that came later and went shows that enough time has passed.
    await using idle = await openRawHttp2(server.url);
    expect(await idle.find(({ type }) => type === FRAME.goaway)).toBeDefined();
    server.health.set("", "NOT_SERVING");
    expect((await watch.next()).value?.status).toBe(2);
    const ended = watch.next();
    left.abort();
    await expect(ended).rejects.toThrow();
  });
});
