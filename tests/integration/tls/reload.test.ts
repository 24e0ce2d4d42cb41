// Certificates that change while calls run: no call fails, new handshakes get the new one, and what is broken is never taken over.
import { readFile, writeFile } from "node:fs/promises";
import { Agent, request as httpsRequest } from "node:https";
import { connect } from "node:tls";
import { createClient as createRpcClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus } from "../../../gen/health/v1/health_pb.ts";
import { type Logger, silentLogger } from "../../../lib/core/logger.ts";
import { openListener } from "../../../lib/rpc/listener/listener.ts";
import { type Peer, peerAt } from "../../../lib/rpc/peer.ts";
import { certificatesIn, factsOf } from "../../../lib/tls/certificate-facts.ts";
import { openServerCredentials } from "../../../lib/tls/server-credentials.ts";
import { type CertificateFiles, openTestAuthority, type TestAuthority } from "../../support/certificates.ts";
import { openTlsServer } from "../../support/tls-server.ts";

const ROUNDS = 12;
const AT_ONCE = 4;

let authority: TestAuthority;
beforeAll(async () => {
  authority = await openTestAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

const printOf = ({ cert }: CertificateFiles): string => certificatesIn(cert)[0]!.fingerprint256;

/** The certificate that a new handshake is shown. */
async function shownBy(port: number): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", ca: authority.cert });
  try {
    await new Promise((resolve, reject) => void socket.once("secureConnect", resolve).once("error", reject));
    return socket.getPeerX509Certificate()!.fingerprint256;
  } finally {
    socket.destroy();
  }
}

test("no call fails while certificate and key are renewed again and again", async () => {
  const files = await authority.issue("server");
  const own = await authority.issue("own", { use: "client" });
  await using server = await openTlsServer({
    cert: files.certFile,
    key: files.keyFile,
    clientCa: authority.caFile,
    reloadIntervalMs: 10,
  });
  const nodeOptions = { ca: authority.cert, cert: own.cert, key: own.key };
  const stop = new AbortController();
  const calls: Record<string, number> = {};
  const loop = async (name: string, call: () => Promise<unknown>): Promise<void> => {
    while (!stop.signal.aborted) {
      await call();
      calls[name] = (calls[name] ?? 0) + 1;
    }
  };
  const grpc = createRpcClient(Health, createGrpcTransport({ baseUrl: server.url, nodeOptions }));
  const web = createRpcClient(Health, createConnectTransport({ baseUrl: server.url, httpVersion: "1.1", nodeOptions }));
  const browser = new Agent({ ...nodeOptions, keepAlive: true, maxSockets: 2 });
  const check = async (health: typeof grpc): Promise<void> =>
    expect((await health.check({})).status).toBe(HealthCheckResponse_ServingStatus.SERVING);
  const running = [
    loop("on one connection", () => check(grpc)),
    loop("on a new connection each", () =>
      check(createRpcClient(Health, createGrpcTransport({ baseUrl: server.url, nodeOptions }))),
    ),
    loop("Connect", () => check(web)),
    ...Array.from({ length: AT_ONCE }, () => loop("as a browser", () => post(server.url, browser))),
    loop("as a browser that comes anew", () => post(server.url, new Agent(nodeOptions))),
  ];
  const watched = grpc.watch({}, { signal: stop.signal })[Symbol.asyncIterator]();
  await watched.next();
  const ending = watched.next().catch(() => "ended");
  const prints = new Set<string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const renewed = await authority.issue("server", round % 2 === 0 ? {} : { key: files.key });
    await expect.poll(() => shownBy(server.port), { timeout: 10_000, interval: 5 }).toBe(printOf(renewed));
    prints.add(printOf(renewed));
    const before = { ...calls };
    await expect
      .poll(() => Object.keys(before).every((name) => calls[name]! > before[name]!), { timeout: 30_000, interval: 5 })
      .toBe(true);
  }
  stop.abort();
  await Promise.all(running);
  browser.destroy();
  expect(await ending).toBe("ended");
  expect(prints.size).toBe(ROUNDS);
  expect(Object.keys(calls)).toHaveLength(5);
});

test("what is broken is told once and not taken over, until it is whole", async () => {
  const files = await authority.issue("fragile");
  const told: unknown[] = [];
  const logger: Logger = { ...silentLogger, error: ({ reason }) => told.push(reason), child: () => logger };
  await using server = await openTlsServer({ cert: files.certFile, key: files.keyFile }, { logger });
  const { credentials, port } = server;
  const before = printOf(files);
  const look = async (): Promise<boolean> => await credentials.look();

  // Halfway through a replacement: nothing to worry about, if it goes on.
  const other = await authority.issue("other");
  await writeFile(files.keyFile, other.key);
  expect(await look()).toBe(false);
  expect(told).toEqual([]);
  await writeFile(files.certFile, other.cert);
  expect(await look()).toBe(true);
  expect(await shownBy(port)).toBe(printOf(other));

  await writeFile(files.certFile, "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n");
  for (let looks = 0; looks < 4; looks += 1) expect(await look()).toBe(false);
  expect(told).toEqual([expect.stringMatching(/fragile.crt holds no certificate$/)]);
  await writeFile(files.certFile, files.cert);
  for (let looks = 0; looks < 3; looks += 1) expect(await look()).toBe(false);
  expect(told).toHaveLength(2);
  expect(told[1]).toMatch(/^the key in .*fragile.key is not that of the certificate in .*fragile.crt$/);
  expect(await shownBy(port)).toBe(printOf(other));
  await writeFile(files.keyFile, files.key);
  expect(await look()).toBe(true);
  expect(await shownBy(port)).toBe(before);
  expect(await readFile(files.certFile, "utf8")).toBe(files.cert);
});

test("an authority that is replaced lets new clients in, and keeps the connections of the old ones", async () => {
  await using next = await openTestAuthority("next");
  const files = await authority.issue("server");
  const caFile = `${authority.dir}/clients.crt`;
  await writeFile(caFile, authority.cert);
  await using server = await openTlsServer({ cert: files.certFile, key: files.keyFile, clientCa: caFile });
  const ca = authority.cert;
  const clientOf = ({ cert, key }: CertificateFiles) =>
    createRpcClient(Health, createGrpcTransport({ baseUrl: server.url, nodeOptions: { ca, cert, key } }));
  const oldOne = clientOf(await authority.issue("old-one"));
  const newOne = await next.issue("new-one");
  await oldOne.check({});
  await expect(clientOf(newOne).check({})).rejects.toThrow();
  await writeFile(caFile, next.cert);
  expect(await server.credentials.look()).toBe(true);
  await clientOf(newOne).check({});
  await oldOne.check({});
  await expect(clientOf(await authority.issue("late-one")).check({})).rejects.toThrow();
});

test("what a verified certificate says is known of the peer, by either version of HTTP", async () => {
  const files = await authority.issue("server");
  const own = await authority.issue("own", { use: "client", name: "me", uris: ["spiffe://mesh/me"] });
  const peers: Peer[] = [];
  using credentials = await openServerCredentials(
    { cert: files.certFile, key: files.keyFile, clientCa: authority.caFile, clientCertificates: "optional" },
    silentLogger,
  );
  await using listener = await openListener({
    tls: credentials,
    handler: (request, response) => {
      peers.push(peerAt(request.socket));
      response.end("{}");
    },
    direct: (stream) => {
      if (stream.session === undefined) return false;
      peers.push(peerAt(stream.session));
      stream.respond({ ":status": 200 }, { endStream: true });
      return true;
    },
  });
  const shown = { ca: authority.cert, cert: own.cert, key: own.key };
  const { commonName, uris, expiresMs, fingerprint } = factsOf(certificatesIn(own.cert)[0]!);
  const known = { address: "127.0.0.1", certificate: { commonName, uris, expiresMs, fingerprint } };
  await post(listener.url, new Agent(shown));
  await post(listener.url, new Agent({ ca: authority.cert }));
  const rpc = (nodeOptions: object) =>
    createRpcClient(Health, createGrpcTransport({ baseUrl: listener.url, nodeOptions }));
  // The first call of a connection may go the long way.
  for (const options of [shown, { ca: authority.cert }]) {
    const health = rpc(options);
    for (let calls = 0; calls < 3; calls += 1) await health.check({}).catch(() => undefined);
  }
  expect(peers).toHaveLength(8);
  expect(peers[0]).toMatchObject(known);
  expect(peers[1]).toEqual({ address: "127.0.0.1" });
  for (const peer of peers.slice(2, 5)) expect(peer).toMatchObject(known);
  for (const peer of peers.slice(5)) expect(peer).toEqual({ address: "127.0.0.1" });
});

function post(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { agent, method: "POST", headers: { "content-type": "application/json" } };
    const sent = httpsRequest(`${url}/grpc.health.v1.Health/Check`, options, (response) => {
      response.resume();
      response.once("end", () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
      );
      response.once("error", reject);
    });
    sent.once("error", reject);
    sent.end("{}");
  });
}
