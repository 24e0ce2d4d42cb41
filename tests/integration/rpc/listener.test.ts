// What the listener promises, over real sockets: every protocol on one port, and an error that says why when it cannot be opened.
import { Code, createClient } from "@connectrpc/connect";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus } from "../../../gen/health/v1/health_pb.ts";
import { openListener } from "../../../lib/rpc/listener/listener.ts";
import { ListenError } from "../../../lib/rpc/listener/listen-error.ts";
import { openRawConnection } from "../../support/raw-connection.ts";
import { FLAG, FRAME, frame, openRawHttp2, PREFACE } from "../../support/raw-http2.ts";
import { openRpcServer } from "../../support/rpc-server.ts";

const { SERVING } = HealthCheckResponse_ServingStatus;

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
    await using raw = await openRawHttp2(server.url, { handshake: false });
    raw.socket.setNoDelay(true);
    for (const byte of PREFACE) {
      await new Promise<void>((resolve) => {
        raw.socket.write(Buffer.from([byte]), () => resolve());
      });
    }
    await raw.send(frame(FRAME.settings, 0, 0));
    const acknowledged = await raw.find(({ type, flags }) => type === FRAME.settings && flags === FLAG.ack);
    expect(acknowledged).toBeDefined();
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
