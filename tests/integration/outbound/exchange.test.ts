// Requests and responses over real connections: what is sent, what comes back, what is bounded, what ends it.
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import type { OutboundError } from "../../../lib/outbound/outbound-error.ts";
import { createOutbound, type OutboundRequest, type OutboundResponse } from "../../../lib/outbound/outbound.ts";
import { openWebServer } from "../../support/web-server.ts";

const outbound = createOutbound({ allowPrivate: ["127.0.0.0/8"] });

async function failure(request: OutboundRequest): Promise<string> {
  return outbound.request(request).then(
    ({ status }) => `answered ${status}`,
    (error: OutboundError) => `${error.code}: ${error.message}`,
  );
}

function text({ body }: OutboundResponse): string {
  return Buffer.from(body).toString();
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks).toString();
}

test("method, path, headers and body arrive as they were given, and nothing is kept open", async () => {
  await using server = await openWebServer(async (request, response) => {
    const { method, url, headers } = request;
    response.setHeader("x-two", ["a", "b"]);
    response.end(JSON.stringify({ method, url, headers, body: await bodyOf(request) }));
  });
  const response = await outbound.request({
    url: `${server.url}/a%20b?c=d&c=e#f`,
    method: "PATCH",
    headers: { "Content-Type": "text/plain", "X-Api-Key": "k", "User-Agent": "me" },
    body: "grüße",
  });
  expect(response).toMatchObject({ status: 200, url: `${server.url}/a%20b?c=d&c=e`, redirects: [], truncated: false });
  expect(response.headers["x-two"]).toBe("a, b");
  const seen: unknown = JSON.parse(text(response));
  expect(seen).toMatchObject({
    method: "PATCH",
    url: "/a%20b?c=d&c=e",
    headers: {
      host: new URL(server.url).host,
      "content-type": "text/plain",
      "x-api-key": "k",
      "user-agent": "me",
      "content-length": "7",
    },
    body: "grüße",
  });
  await server.closed();
});

test("each phase is timed", async () => {
  await using server = await openWebServer((_request, response) => response.end("x"));
  const { facts, totalMs } = await outbound.request({ url: server.url });
  expect(facts).toEqual({
    address: "127.0.0.1",
    dnsMs: expect.any(Number),
    connectMs: expect.any(Number),
    firstByteMs: expect.any(Number),
  });
  const { dnsMs = NaN, connectMs = NaN, firstByteMs = NaN } = facts;
  expect(Math.min(dnsMs, connectMs, firstByteMs)).toBeGreaterThanOrEqual(0);
  expect(totalMs).toBeGreaterThanOrEqual(dnsMs + connectMs + firstByteMs);
});

test("redirects are followed up to their number, and named", async () => {
  await using server = await openWebServer((request, response) => {
    const left = Number(request.url?.slice(1));
    if (left === 0) response.end(request.method);
    else response.writeHead(302, { location: `/${left - 1}` }).end();
  });
  const response = await outbound.request({ url: `${server.url}/2`, method: "POST", body: "x", maxRedirects: 2 });
  expect(response).toMatchObject({
    status: 200,
    url: `${server.url}/0`,
    redirects: [`${server.url}/2`, `${server.url}/1`],
  });
  expect(text(response)).toBe("GET");
  expect(await failure({ url: `${server.url}/3`, maxRedirects: 2 })).toBe("TOO_MANY_REDIRECTS: more than 2 redirects");
});

test("a redirect to another origin takes no secret along", async () => {
  await using other = await openWebServer((request, response) => response.end(JSON.stringify(request.headers)), {
    host: "127.0.0.2",
  });
  await using server = await openWebServer((_request, response) =>
    response.writeHead(307, { location: other.url }).end(),
  );
  const headers = { authorization: "Bearer x", cookie: "a=b", "x-api-key": "k", accept: "text/plain" };
  const seen: unknown = JSON.parse(text(await outbound.request({ url: server.url, headers, maxRedirects: 1 })));
  expect(seen).toMatchObject({ accept: "text/plain" });
  expect(Object.keys(seen as object)).not.toEqual(
    expect.arrayContaining([expect.stringMatching(/authorization|cookie|x-api-key/)]),
  );
});

test.for<[string, (data: string) => Buffer, string]>([
  ["gzip", gzipSync, "hello"],
  ["x-gzip", gzipSync, "hello"],
  ["br", brotliCompressSync, "hello"],
  ["GZIP", gzipSync, "hello"],
  ["identity", (data) => Buffer.from(data), "hello"],
  ["deflate", deflateSync, deflateSync("hello").toString()],
  ["constructor", (data) => Buffer.from(data), "hello"],
  ["gzip, gzip", (data) => gzipSync(gzipSync(data)), gzipSync(gzipSync("hello")).toString()],
])("a body in coding %s is read", async ([coding, encode, read]) => {
  await using server = await openWebServer((_request, response) =>
    response.writeHead(200, { "content-encoding": coding }).end(encode("hello")),
  );
  expect(text(await outbound.request({ url: server.url }))).toBe(read);
});

test.for<[number, string, string]>([
  [200, "HEAD", "gzip"],
  [200, "GET", "gzip"],
  [200, "GET", "br"],
  [204, "GET", "gzip"],
  [304, "GET", "gzip"],
])("a %i to %s without a body may say that it is in coding %s", async ([status, method, coding]) => {
  await using server = await openWebServer((_request, response) =>
    response.writeHead(status, { "content-encoding": coding }).end(),
  );
  const response = await outbound.request({ url: server.url, method });
  expect([response.status, response.body.length, response.truncated]).toEqual([status, 0, false]);
});

test("a body that claims to be compressed and is not is refused", async () => {
  await using server = await openWebServer((_request, response) =>
    response.writeHead(200, { "content-encoding": "gzip" }).end("hello"),
  );
  expect(await failure({ url: server.url })).toBe("BAD_RESPONSE: the response's compressed body is broken");
});

test.for(["plain", "gzip", "br"])("a %s body may be as large as allowed and not a byte larger", async (coding) => {
  const content = Buffer.alloc(50_000, "x");
  const bodies: Record<string, Buffer> = {
    plain: content,
    gzip: gzipSync(content),
    br: brotliCompressSync(content),
  };
  await using server = await openWebServer((_request, response) =>
    response.writeHead(200, coding === "plain" ? {} : { "content-encoding": coding }).end(bodies[coding]),
  );
  const whole = await outbound.request({ url: server.url, maxResponseBytes: 50_000 });
  expect([whole.body.length, whole.truncated]).toEqual([50_000, false]);
  expect(await failure({ url: server.url, maxResponseBytes: 49_999 })).toBe(
    "RESPONSE_TOO_LARGE: the response's body has more than 49999 bytes",
  );
  const cut = await outbound.request({ url: server.url, maxResponseBytes: 49_999, oversize: "truncate" });
  expect([cut.body.length, cut.truncated]).toEqual([49_999, true]);
  await server.closed();
});

test("a bomb is not unpacked further than allowed", async () => {
  const bomb = gzipSync(Buffer.alloc(64_000_000));
  await using server = await openWebServer((_request, response) =>
    response.writeHead(200, { "content-encoding": "gzip" }).end(bomb),
  );
  expect(bomb.length).toBeLessThan(100_000);
  const cut = await outbound.request({ url: server.url, maxResponseBytes: 1_000, oversize: "truncate" });
  expect([cut.body.length, cut.truncated]).toEqual([1_000, true]);
  expect(await failure({ url: server.url })).toMatch(/^RESPONSE_TOO_LARGE: /);
});

test("a compressed body that goes on for ever without content is ended", async () => {
  // An empty stored block of deflate: five bytes that unpack to none.
  const nothing = Buffer.alloc(65_535, Buffer.from([0, 0, 0, 0xff, 0xff]));
  await using server = await openWebServer((_request, response) => {
    response.writeHead(200, { "content-encoding": "gzip" });
    response.write(gzipSync("").subarray(0, 10));
    const more = (): void => {
      while (response.write(nothing));
    };
    response.on("drain", more);
    more();
  });
  expect(await failure({ url: server.url, maxResponseBytes: 100_000 })).toMatch(/^RESPONSE_TOO_LARGE: /);
  await server.closed();
});

test("a body without end is read as far as allowed", async () => {
  await using server = await openWebServer((_request, response) => {
    const more = (): void => {
      while (response.write("x".repeat(10_000)));
    };
    response.on("drain", more);
    more();
  });
  expect(await failure({ url: server.url })).toMatch(/^RESPONSE_TOO_LARGE: /);
  await server.closed();
});

test("a head that is larger than allowed is refused", async () => {
  await using server = await openWebServer((_request, response) =>
    response.writeHead(200, { "x-large": "x".repeat(20_000) }).end(),
  );
  const where = new URL(server.url).host;
  expect(await failure({ url: server.url })).toBe(
    `RESPONSE_TOO_LARGE: the head of the response of ${where} is too large`,
  );
  expect(await failure({ url: server.url, maxHeaderBytes: 32_768 })).toBe("answered 200");
});

test.for<[string, string, (socket: Socket) => void]>([
  ["says nothing", "while waiting for the response", () => {}],
  ["stops in its head", "while waiting for the response", (socket) => socket.write("HTTP/1.1 200 OK\r\nx: ")],
  [
    "stops in its body",
    "in the response's body",
    (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"),
  ],
])("a server that %s is given up after the timeout (%s), and its connection closed", async ([, phase, speak]) => {
  await using server = await openRawServer(speak);
  expect(await failure({ url: server.url, timeoutMs: 500 })).toBe(
    `TIMEOUT: the exchange took longer than 500 ms (${phase})`,
  );
  await server.closed();
});

test("a server that never ends the TLS handshake is given up after the timeout", async () => {
  await using server = await openRawServer(() => {});
  expect(await failure({ url: server.url.replace("http:", "https:"), timeoutMs: 500 })).toBe(
    "TIMEOUT: the exchange took longer than 500 ms (in the TLS handshake)",
  );
  await server.closed();
});

test("a name that is looked up for ever is given up after the connect timeout", async () => {
  const stuck = createOutbound({ lookup: () => new Promise(() => {}) });
  const error = await stuck.request({ url: "http://a.test/", connectTimeoutMs: 50 }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({
    code: "CONNECT_TIMEOUT",
    message: "no connection to a.test:80 within 50 ms (while its name was looked up)",
    retryable: true,
    facts: {},
  });
});

test("names that are looked up for ever leave no more than two look-ups, and whoever waits behind them goes by its own timeout", async () => {
  await using server = await openWebServer((_request, response) => response.end("ok"));
  const asked: string[] = [];
  const dead = Promise.withResolvers<readonly string[]>();
  const bounded = createOutbound({
    allowPrivate: ["127.0.0.1"],
    lookup: async (host) => {
      asked.push(host);
      return host.endsWith(".dead.test") ? dead.promise : ["127.0.0.1"];
    },
  });
  const late = { connectTimeoutMs: 50 };
  for (const host of ["a.dead.test", "b.dead.test", "c.dead.test", "a.dead.test", "live.test"]) {
    await expect(bounded.request({ url: `http://${host}:${server.port}/`, ...late })).rejects.toMatchObject({
      code: "CONNECT_TIMEOUT",
      message: `no connection to ${host}:${server.port} within 50 ms (while its name was looked up)`,
    });
  }
  await expect(bounded.request({ url: server.url })).resolves.toMatchObject({ status: 200 });
  expect(asked).toEqual(["a.dead.test", "b.dead.test"]);
  const waiting = bounded.request({ url: `http://live.test:${server.port}/` });
  dead.resolve([]);
  expect(text(await waiting)).toBe("ok");
  expect(asked).toEqual(["a.dead.test", "b.dead.test", "live.test"]);
});

test.for<[string, (socket: Socket) => void, RegExp]>([
  ["hangs up", (socket) => void socket.end(), /^CONNECTION_LOST: the exchange with \S+ broke off: \w+$/],
  ["resets", (socket) => void socket.once("data", () => socket.resetAndDestroy()), /^CONNECTION_LOST: /],
  [
    "breaks off in its body",
    (socket) => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"),
    /^CONNECTION_LOST: /,
  ],
  [
    "speaks something else",
    (socket) => void socket.end("SSH-2.0-secret\r\n"),
    /^BAD_RESPONSE: \S+ does not answer in HTTP$/,
  ],
])("a server that %s is told of without its words", async ([, speak, line]) => {
  await using server = await openRawServer(speak);
  const message = await failure({ url: server.url });
  expect(message).toMatch(line);
  expect(message).not.toContain("secret");
});

test("a port that nobody listens at is told of", async () => {
  const server = await openWebServer(() => {});
  await server[Symbol.asyncDispose]();
  expect(await failure({ url: server.url })).toBe(
    `CONNECT_FAILED: no connection to ${new URL(server.url).host}: ECONNREFUSED`,
  );
});

test.for(["head", "body"])(
  "the caller's signal ends an exchange in its %s, with its own reason, and closes the socket",
  async (where) => {
    const reason = new Error("enough");
    const controller = new AbortController();
    await using server = await openRawServer((socket) => {
      socket.write(where === "head" ? "HTTP/1.1 200 OK\r\nx: " : "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe");
      setImmediate(() => controller.abort(reason));
    });
    await expect(outbound.request({ url: server.url, signal: controller.signal })).rejects.toBe(reason);
    await server.closed();
  },
);

test("a signal that has ended already sends nothing", async () => {
  await using server = await openWebServer((_request, response) => response.end());
  const reason = new Error("enough");
  await expect(outbound.request({ url: server.url, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  expect(server.connections()).toBe(0);
});

test.for<[string, Partial<OutboundRequest>, string]>([
  [
    "a method",
    { method: "CONNECT" },
    'the method is "CONNECT", must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY',
  ],
  [
    "a method in small letters",
    { method: "get" },
    'the method is "get", must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY',
  ],
  ["a body of GET", { body: "x" }, "a GET request has no body"],
  ["a header", { headers: { Host: "x" } }, 'header "Host" is not for callers to set'],
  ["a value", { headers: { a: "b\r\nc: d" } }, 'header "a" has a character that HTTP does not carry'],
  ["a header twice", { headers: { a: "b", A: "c" } }, 'header "A" is given twice'],
  ["a timeout", { timeoutMs: 0 }, "timeoutMs is 0, must be a whole number from 1 to 600000"],
  ["redirects", { maxRedirects: 21 }, "maxRedirects is 21, must be a whole number from 0 to 20"],
  ["a size", { maxResponseBytes: -1 }, "maxResponseBytes is -1, must be a whole number from 0 to 100000000"],
])("%s that is not allowed is refused", async ([, request, line]) => {
  expect(await failure({ url: "http://127.0.0.1/", ...request })).toBe(`INVALID_REQUEST: ${line}`);
});

test("the headers are bounded in number and size", async () => {
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`x-${index}`, "y"]));
  expect(await failure({ url: "http://127.0.0.1/", headers: many })).toBe(
    "INVALID_REQUEST: 65 headers, at most 64 are allowed",
  );
  expect(await failure({ url: "http://127.0.0.1/", headers: { a: "x".repeat(16_384) } })).toBe(
    "INVALID_REQUEST: the headers have more than 16384 characters",
  );
});

test("a TCP check connects, tells of it and hangs up", async () => {
  await using server = await openRawServer(() => {});
  expect(await outbound.probe({ host: "127.0.0.1", port: server.port })).toEqual({
    address: "127.0.0.1",
    dnsMs: expect.any(Number),
    connectMs: expect.any(Number),
  });
  await server.closed();
});

/** A server that says what it likes, and resolves `closed` when its connections are. */
async function openRawServer(
  speak: (socket: Socket) => void,
): Promise<AsyncDisposable & { readonly url: string; readonly port: number; closed(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const closed: Promise<unknown>[] = [];
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    closed.push(new Promise((resolve) => void socket.once("close", resolve)));
    socket.on("error", () => {});
    socket.resume();
    speak(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    async closed() {
      expect(closed).not.toEqual([]);
      await Promise.all(closed);
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
