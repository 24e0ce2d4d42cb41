// The names by which a server may be called, over real connections of both HTTP versions.
import { once } from "node:events";
import { request as requestHttp1 } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { afterAll, beforeAll, expect, test } from "vitest";
import { respondText } from "../../../lib/rpc/http-handler.ts";
import { withKnownHosts } from "../../../lib/rpc/interceptors/known-hosts.ts";
import { type Listener, openListener } from "../../../lib/rpc/listener/listener.ts";

let listener: Listener;
let served = 0;

beforeAll(async () => {
  const handler = withKnownHosts(
    (_, response) => {
      served += 1;
      respondText(response, 200, "served");
    },
    ["Mesh.Internal"],
  );
  listener = await openListener({ handler });
});
afterAll(() => listener[Symbol.asyncDispose]());

async function statusOverHttp1(host: string): Promise<number | undefined> {
  const asked = requestHttp1(listener.url, { headers: { host }, agent: false }).end();
  const [response] = (await once(asked, "response")) as [{ statusCode?: number; resume(): void }];
  response.resume();
  return response.statusCode;
}

async function statusOverHttp2(authority: string): Promise<number | undefined> {
  const session = connectHttp2(listener.url);
  try {
    const stream = session.request({ ":path": "/", ":authority": authority });
    const [headers] = (await once(stream, "response")) as [{ ":status"?: number }];
    stream.close();
    return headers[":status"];
  } finally {
    session.destroy();
  }
}

const OURS = [
  "127.0.0.1:8080",
  "127.0.0.1",
  "[::1]:8080",
  "localhost",
  "localhost:1",
  "LOCALHOST:8080",
  "localhost.:8080",
  "mesh.localhost:8080",
  "mesh.internal:8080",
  "MESH.internal",
];
const FOREIGN = [
  "evil.example:8080",
  "localhost.evil.example",
  "evillocalhost",
  "127.0.0.1.evil.example",
  "127.0.0.1.nip.io:8080",
  "mesh.internal.evil.example",
  "internal",
];

test.for(OURS)("a request for %s is served, by both HTTP versions", async (host) => {
  expect([await statusOverHttp1(host), await statusOverHttp2(host)]).toEqual([200, 200]);
});

test.for(FOREIGN)("a request for %s is misdirected, and the handler does not see it", async (host) => {
  const before = served;
  expect([await statusOverHttp1(host), await statusOverHttp2(host)]).toEqual([421, 421]);
  expect(served).toBe(before);
});
