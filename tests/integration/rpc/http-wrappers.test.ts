// CORS and probes around a real handler, and rich errors on the wire of each protocol.
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { Code, cors, createClient } from "@connectrpc/connect";
import type { Transport } from "@connectrpc/connect";
import {
  connectNodeAdapter,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { Health } from "../../../gen/health/v1/health_pb.ts";
import { withCors } from "../../../lib/rpc/interceptors/cors.ts";
import { withProbes } from "../../../lib/rpc/interceptors/probes.ts";
import type { Readiness } from "../../../lib/rpc/interceptors/probes.ts";
import { openListener } from "../../../lib/rpc/listener/listener.ts";
import type { HttpHandler } from "../../../lib/rpc/http-handler.ts";
import { readDetails, richError } from "../../../lib/rpc/rich-error.ts";
import { createHealth } from "../../../lib/rpc/health/health.ts";
import { openRawConnection } from "../../support/raw-connection.ts";
import { failureOf } from "../../support/rpc-call.ts";
import { openRpcServer } from "../../support/rpc-server.ts";

const rpcHandler = (): HttpHandler =>
  connectNodeAdapter({ routes: (router) => createHealth({ services: [] }).register(router) });

describe("CORS", () => {
  const PAGE = "https://console.example.com";
  const open = (origins: readonly string[]) => openListener({ handler: withCors(rpcHandler(), { origins }) });
  const preflight = (url: string, origin: string): Promise<Response> =>
    fetch(`${url}/grpc.health.v1.Health/Check`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
    });
  const call = (url: string, headers: Record<string, string>): Promise<Response> =>
    fetch(`${url}/grpc.health.v1.Health/Check`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: "{}",
    });

  test("a preflight of an allowed page is answered with what Connect and gRPC-Web need", async () => {
    await using listener = await open([PAGE]);
    const response = await preflight(listener.url, PAGE);
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(response.headers.get("access-control-allow-methods")).toBe("POST, GET");
    expect(response.headers.get("access-control-max-age")).toBe("7200");
    expect(response.headers.get("vary")).toBe("origin");
    expect(response.headers.has("access-control-allow-credentials")).toBe(false);
    const allowed = response.headers.get("access-control-allow-headers")?.split(", ");
    expect(allowed).toEqual(expect.arrayContaining([...cors.allowedHeaders, "authorization", "traceparent"]));
  });

  test("a call of an allowed page passes, and the page may read status, details and retry headers", async () => {
    await using listener = await open([PAGE]);
    const response = await call(listener.url, { origin: PAGE });
    expect(await response.json()).toEqual({ status: "SERVING" });
    expect(response.headers.get("access-control-allow-origin")).toBe(PAGE);
    const exposed = response.headers.get("access-control-expose-headers")?.split(", ");
    expect(exposed).toEqual(
      expect.arrayContaining(
        ["Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "retry-after"].map((name) =>
          expect.stringMatching(new RegExp(`^${name}$`, "i")),
        ),
      ),
    );
  });

  test.for(["https://evil.example.com", "https://console.example.com.evil.com", "http://console.example.com", "null"])(
    "a page of %s is refused before the handler runs",
    async (origin) => {
      let handled = 0;
      const counting: HttpHandler = (request, response) => {
        handled += 1;
        rpcHandler()(request, response);
      };
      await using listener = await openListener({ handler: withCors(counting, { origins: [PAGE] }) });
      for (const response of [await preflight(listener.url, origin), await call(listener.url, { origin })]) {
        expect(response.status).toBe(403);
        expect(response.headers.has("access-control-allow-origin")).toBe(false);
        await response.text();
      }
      expect(handled).toBe(0);
    },
  );

  test("a page served by this very port, and a caller that is no browser, need no entry", async () => {
    await using listener = await open([]);
    expect((await call(listener.url, { origin: listener.url })).status).toBe(200);
    const plain = await call(listener.url, {});
    expect(plain.status).toBe(200);
    expect(plain.headers.has("access-control-allow-origin")).toBe(false);
  });

  test("any origin is allowed to callers on this machine only", async () => {
    await using listener = await open(["*"]);
    const response = await preflight(listener.url, "https://anything.example.com");
    expect(response.headers.get("access-control-allow-origin")).toBe("https://anything.example.com");

    const guarded = withCors(rpcHandler(), { origins: ["*"] });
    await using elsewhere = await openListener({
      handler: (request, response) => {
        Object.defineProperty(request.socket, "remoteAddress", { value: "10.0.0.7" });
        guarded(request, response);
      },
    });
    expect((await preflight(elsewhere.url, PAGE)).status).toBe(403);
  });

  test.for(["https://example.com/", "example.com", "https://example.com/path", ""])(
    "origin %j is refused",
    (origin) => {
      expect(() => withCors(rpcHandler(), { origins: [origin] })).toThrow(`got "${origin}"`);
    },
  );
});

describe("probes", () => {
  async function open(ready: () => Readiness | Promise<Readiness>) {
    return openListener({ handler: withProbes(rpcHandler(), { ready, readyTimeoutMs: 50 }) });
  }
  const get = async (url: string): Promise<[number, string]> => {
    const response = await fetch(url);
    return [response.status, await response.text()];
  };

  test("healthz is 200 and readyz follows the callback", async () => {
    let readiness: Readiness = { ready: false, reason: "no connection to NATS" };
    await using listener = await open(() => readiness);
    expect(await get(`${listener.url}/healthz`)).toEqual([200, "ok"]);
    expect(await get(`${listener.url}/readyz`)).toEqual([503, "not ready: no connection to NATS"]);
    readiness = { ready: true };
    expect(await get(`${listener.url}/readyz?verbose`)).toEqual([200, "ready"]);
  });

  test.for([
    [
      "throws",
      () => {
        throw new Error("secret");
      },
      "not ready: the readiness check failed",
    ],
    ["rejects", () => Promise.reject(new Error("secret")), "not ready: the readiness check failed"],
    ["never answers", () => new Promise<Readiness>(() => undefined), "not ready: no answer within 50 ms"],
  ] as const)("readyz is 503 when the callback %s", async ([, ready, body]) => {
    await using listener = await open(ready);
    expect(await get(`${listener.url}/readyz`)).toEqual([503, body]);
  });

  test("HEAD is answered, POST is refused, and other paths reach the handler", async () => {
    await using listener = await open(() => ({ ready: true }));
    expect((await fetch(`${listener.url}/readyz`, { method: "HEAD" })).status).toBe(200);
    const post = await fetch(`${listener.url}/healthz`, { method: "POST" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    await post.text();
    expect((await createClient(Health, createGrpcTransport({ baseUrl: listener.url })).check({})).status).toBe(1);
  });

  test("probes work over HTTP/2 and without a host header", async () => {
    await using listener = await open(() => ({ ready: true }));
    const session = connectHttp2(listener.url);
    const [headers] = await once(session.request({ ":path": "/healthz" }).end(), "response");
    expect(headers[":status"]).toBe(200);
    session.destroy();
    await using old = await openRawConnection(listener.address.port);
    old.socket.write("GET /healthz HTTP/1.0\r\n\r\n");
    expect((await old.closed).toString()).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe("rich errors", () => {
  const transports: [string, (baseUrl: string) => Transport][] = [
    ["gRPC", (baseUrl) => createGrpcTransport({ baseUrl })],
    ["gRPC-Web", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
    ["Connect", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ];
  const openFailing = () =>
    openRpcServer({
      routes: (router) =>
        router.service(Health, {
          check: () => {
            throw richError({
              code: Code.ResourceExhausted,
              reason: "QUEUE_FULL",
              message: "queue echo is full",
              metadata: { limit: "10" },
              retryDelayMs: 1500,
              quota: [{ subject: "queue:echo", description: "10 waiting tasks" }],
              cause: new Error("secret"),
            });
          },
        }),
    });

  test.for(transports)("details and retry headers reach a %s client", async ([, transport]) => {
    await using server = await openFailing();
    const error = await failureOf(createClient(Health, transport(server.url)).check({}));
    expect([error.code, error.rawMessage]).toEqual([Code.ResourceExhausted, "queue echo is full"]);
    expect(readDetails(error)).toEqual({
      reason: "QUEUE_FULL",
      domain: "mycel.dev",
      metadata: { limit: "10" },
      violations: [],
      retryDelayMs: 1500,
      quota: [{ subject: "queue:echo", description: "10 waiting tasks" }],
      preconditions: [],
    });
    expect(error.metadata.get("grpc-retry-pushback-ms")).toBe("1500");
    expect(error.metadata.get("retry-after")).toBe("2");
  });

  test("a plain HTTP caller gets a status, Retry-After and readable details, and no cause", async () => {
    await using server = await openFailing();
    const response = await fetch(`${server.url}/grpc.health.v1.Health/Check`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect([response.status, response.headers.get("retry-after")]).toEqual([429, "2"]);
    const text = await response.text();
    expect(text).not.toContain("secret");
    expect(JSON.parse(text)).toMatchObject({ code: "resource_exhausted", message: "queue echo is full" });
    expect(JSON.parse(text).details[0].debug).toMatchObject({ reason: "QUEUE_FULL", domain: "mycel.dev" });
  });
});
