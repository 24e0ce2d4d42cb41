import { once } from "node:events";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { GRPC_JS } from "../../../bench/contenders/grpc-js/grpc-js.ts";
import { HTTP2 } from "../../../bench/contenders/http2/http2.ts";
import { withoutSettings } from "../../../bench/support/environment.ts";
import { callMany, MAX_MESSAGE_BYTES } from "../../../bench/support/grpc-caller.ts";
import { openGrpcLoad } from "../../../bench/support/grpc-load.ts";
import { envelope } from "../../support/raw-http2.ts";

const environment = withoutSettings(process.env);
const OK = { "grpc-status": "0" };

/** A server whose calls are answered by `answer` once they have arrived, with what it saw of them. */
async function openServer(answer: (stream: ServerHttp2Stream, call: number) => void) {
  const seen = { paths: new Set<string>(), calls: 0, open: 0, mostOpen: 0, bytes: 0, connections: 0 };
  const server = createServer();
  server.on("session", () => (seen.connections += 1));
  server.on("stream", (stream, headers) => {
    const call = (seen.calls += 1);
    seen.open += 1;
    seen.mostOpen = Math.max(seen.mostOpen, seen.open);
    seen.paths.add(String(headers[":path"]));
    stream.on("error", () => undefined);
    stream.on("data", (chunk: Buffer) => (seen.bytes += chunk.length));
    const answerNow = (): void => {
      seen.open -= 1;
      if (!stream.destroyed) answer(stream, call);
    };
    // What came in the same packet is seen before anything is answered.
    stream.on("end", () => setImmediate(answerNow));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    seen,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, "close");
    },
  };
}

function answerWell(stream: ServerHttp2Stream): void {
  stream.on("wantTrailers", () => stream.sendTrailers(OK));
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.end(envelope(new Uint8Array()));
}

test.for([
  { calls: 50, concurrency: 1 },
  { calls: 500, concurrency: 16 },
  { calls: 3, concurrency: 16 },
])("every one of $calls calls is made once, and up to $concurrency at a time", async (amounts) => {
  await using server = await openServer(answerWell);
  const tookMs = await callMany({ url: server.url, path: "/a.B/C", message: Buffer.from("abc") }, amounts);
  expect(tookMs).toBeGreaterThan(0);
  expect(server.seen).toMatchObject({
    paths: new Set(["/a.B/C"]),
    calls: amounts.calls,
    mostOpen: Math.min(amounts.calls, amounts.concurrency),
    bytes: amounts.calls * envelope(Buffer.from("abc")).length,
    connections: 1,
  });
});

test("more than a server has room for is sent when it has room again", async () => {
  await using server = await openServer(answerWell);
  const message = Buffer.alloc(MAX_MESSAGE_BYTES);
  await callMany({ url: server.url, path: "/a.B/C", message }, { calls: 64, concurrency: 16 });
  expect(server.seen.bytes).toBe(64 * envelope(message).length);
});

test.for([
  [
    "refused",
    (stream: ServerHttp2Stream) => stream.respond({ ":status": 200, "grpc-status": "8" }, { endStream: true }),
  ],
  ["broken off with code 2", (stream: ServerHttp2Stream) => stream.close(2)],
  [
    "ended without a status",
    (stream: ServerHttp2Stream) => {
      stream.respond({ ":status": 200 });
      stream.end(envelope(new Uint8Array()));
    },
  ],
  ["the server went away with code 11", (stream: ServerHttp2Stream) => stream.session?.goaway(11)],
] as const)("a call that is not answered well ends the load: %s", async ([reason, answerBadly]) => {
  await using server = await openServer((stream, call) => (call === 7 ? answerBadly(stream) : answerWell(stream)));
  const call = { url: server.url, path: "/a.B/C", message: new Uint8Array() };
  await expect(callMany(call, { calls: 50, concurrency: 4 })).rejects.toThrow(new RegExp(`^/a\\.B/C: .*${reason}`));
});

test.for([GRPC_JS, HTTP2])("$id answers the empty call, of a client and of the load from outside", async (kind) => {
  expect(await kind.lacking()).toBeUndefined();
  await using contender = await kind.open({ environment, durability: "second" });
  await using load = await openGrpcLoad(environment);
  await contender.emptyCall?.();
  const call = contender.unaryCalls!.empty;
  expect(await load.run(call, { calls: 100, concurrency: 16 })).toBeGreaterThan(0);
  // The same process goes on after a failure.
  const wrong = load.run({ ...call, path: "/grpc.health.v1.Health/Nothing" }, { calls: 1, concurrency: 1 });
  if (kind === GRPC_JS) await expect(wrong).rejects.toThrow("/grpc.health.v1.Health/Nothing: a call was refused");
  else await wrong;
  expect(await load.run(call, { calls: 1, concurrency: 1 })).toBeGreaterThan(0);
});

test("a server that ends unasked is said in one line, and ends the load", async () => {
  await using contender = await GRPC_JS.open({ environment, durability: "second" });
  const endless = callMany(contender.unaryCalls!.empty, { calls: Number.MAX_SAFE_INTEGER, concurrency: 4 });
  const ended = expect(endless).rejects.toThrow(
    /^\/grpc\.health\.v1\.Health\/Check: (the connection ended|read ECONNRESET)$/,
  );
  process.kill(contender.pids["server"]!, "SIGKILL");
  await ended;
  await expect(contender.failed).rejects.toThrow("bench/contenders/grpc-js/echo.ts ended with SIGKILL");
});
