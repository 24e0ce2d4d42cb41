// The TLS listener over real sockets: versions, protocols, client certificates, and what is no handshake at all.
import { once } from "node:events";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { Code, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus } from "../../../gen/health/v1/health_pb.ts";
import { openServerCredentials, type ServerTlsOptions } from "../../../lib/tls/server-credentials.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { type CertificateFiles, openTestAuthority, type TestAuthority } from "../../support/certificates.ts";
import { openRawConnection } from "../../support/raw-connection.ts";
import { openTlsServer, type TlsServer } from "../../support/tls-server.ts";

const { SERVING } = HealthCheckResponse_ServingStatus;

let authority: TestAuthority;
let files: CertificateFiles;
let client: CertificateFiles;
beforeAll(async () => {
  authority = await openTestAuthority();
  files = await authority.issue("server", { use: "server" });
  client = await authority.issue("client", { use: "client", uris: ["spiffe://mesh/test"] });
});
afterAll(() => authority[Symbol.asyncDispose]());

const openServer = (more: Partial<ServerTlsOptions> = {}, listener = {}): Promise<TlsServer> =>
  openTlsServer({ cert: files.certFile, key: files.keyFile, ...more }, { listener });

/** Shakes hands, and gives the word of the other side: an HTTP/1.1 answer's first line, or why there is none. */
async function ask(port: number, options: ConnectionOptions & { localAddress?: string } = {}): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", ca: authority.cert, ALPNProtocols: ["http/1.1"], ...options });
  try {
    const heard = await new Promise<string>((resolve) => {
      socket.once("error", (error: Error & { readonly code?: string }) => resolve(error.code ?? error.message));
      socket.once("close", () => resolve("closed"));
      socket.once("secureConnect", () => socket.write("GET /nothing HTTP/1.1\r\nhost: here\r\n\r\n"));
      socket.once("data", (data: Buffer) => resolve(data.toString("latin1").split("\r\n", 1)[0]!));
    });
    return heard;
  } finally {
    socket.destroy();
  }
}

const ANSWER = "HTTP/1.1 404 Not Found";
const shown = (): ConnectionOptions => ({ cert: client.cert, key: client.key });

describe("protocols", () => {
  const transports: [string, (baseUrl: string, nodeOptions: object) => Transport][] = [
    ["gRPC", (baseUrl, nodeOptions) => createGrpcTransport({ baseUrl, nodeOptions })],
    [
      "gRPC-Web over HTTP/1.1",
      (baseUrl, nodeOptions) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1", nodeOptions }),
    ],
    [
      "gRPC-Web over HTTP/2",
      (baseUrl, nodeOptions) => createGrpcWebTransport({ baseUrl, httpVersion: "2", nodeOptions }),
    ],
    [
      "Connect over HTTP/1.1",
      (baseUrl, nodeOptions) => createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions }),
    ],
    [
      "Connect over HTTP/2",
      (baseUrl, nodeOptions) => createConnectTransport({ baseUrl, httpVersion: "2", nodeOptions }),
    ],
  ];

  test.for(transports)("are the same as in cleartext: %s", async ([, transport]) => {
    await using server = await openServer();
    expect(server.url).toBe(`https://127.0.0.1:${server.port}`);
    const health = createClient(Health, transport(server.url, { ca: authority.cert }));
    expect((await health.check({})).status).toBe(SERVING);
    const stop = new AbortController();
    const watch = (async () => {
      for await (const { status } of health.watch({}, { signal: stop.signal })) {
        expect(status).toBe(SERVING);
        stop.abort();
      }
    })();
    await expect(watch).rejects.toMatchObject({ code: Code.Canceled });
    await expect.poll(() => server.health.watchers).toBe(0);
  });

  test("are agreed on by ALPN: h2 is preferred, and one that is not spoken is refused", async () => {
    await using server = await openServer();
    const agreed = async (ALPNProtocols: string[]): Promise<unknown> => {
      const socket = connect({ port: server.port, host: "127.0.0.1", ca: authority.cert, ALPNProtocols });
      try {
        await once(socket, "secureConnect");
        return socket.alpnProtocol;
      } catch (error) {
        return (error as Error & { code: string }).code;
      } finally {
        socket.destroy();
      }
    };
    expect(await agreed(["http/1.1", "h2"])).toBe("h2");
    expect(await agreed(["http/1.1"])).toBe("http/1.1");
    expect(await agreed(["spdy/3"])).toBe("ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL");
  });

  test("whoever knows no ALPN speaks HTTP/1.1", async () => {
    await using server = await openServer();
    expect(await ask(server.port, { ALPNProtocols: [] })).toBe(ANSWER);
  });
});

describe("versions", () => {
  test("TLS 1.3 is spoken, and nothing older", async () => {
    await using server = await openServer();
    expect(await ask(server.port, { minVersion: "TLSv1.3" })).toBe(ANSWER);
    expect(await ask(server.port, { maxVersion: "TLSv1.2" })).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
    expect(server.refusals).toEqual(["handshake: ERR_SSL_UNSUPPORTED_PROTOCOL"]);
  });

  test("TLS 1.2 is spoken where it is allowed, and nothing older", async () => {
    await using server = await openServer({ minVersion: "TLSv1.2" });
    expect(await ask(server.port, { maxVersion: "TLSv1.2" })).toBe(ANSWER);
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    expect(await ask(server.port, old)).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
  });
});

describe("client certificates", () => {
  test("are not asked for by default", async () => {
    await using server = await openServer();
    expect(await ask(server.port)).toBe(ANSWER);
    expect(await ask(server.port, shown())).toBe(ANSWER);
  });

  test("are required where that is said", async () => {
    await using server = await openServer({ clientCa: authority.caFile });
    expect(await ask(server.port, shown())).toBe(ANSWER);
    expect(await ask(server.port)).toBe("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
    expect(server.refusals).toEqual(["handshake: ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE"]);
  });

  test.for(["required", "optional"] as const)("that are not good are refused where they are %s", async (mode) => {
    await using other = await openTestAuthority("another authority");
    await using namesake = await openTestAuthority("test authority");
    const crl = await authority.revoke((await authority.issue("revoked-before")).cert);
    await using server = await openServer({ clientCa: authority.caFile, clientCertificates: mode, crl });
    const refused = async ({ cert, key }: CertificateFiles): Promise<void> => {
      expect(await ask(server.port, { cert, key })).not.toBe(ANSWER);
      expect(server.refusals).toHaveLength((count += 1));
    };
    let count = 0;
    await refused(await other.issue("stranger"));
    await refused(await namesake.issue("namesake"));
    await refused(await authority.issue("over", { nowMs: Date.now() - 3 * 86_400_000 }));
    await refused(await authority.issue("not-yet", { nowMs: Date.now() + 3 * 86_400_000 }));
    await refused(await authority.issue("of-a-server", { use: "server" }));
    const revoked = await authority.issue("revoked");
    expect(await ask(server.port, { cert: revoked.cert, key: revoked.key })).toBe(ANSWER);
    await authority.revoke(revoked.cert);
    expect(await server.credentials.look()).toBe(true);
    await refused(revoked);
    expect(await ask(server.port, shown())).toBe(ANSWER);
  });

  test("need not be shown where they are optional", async () => {
    await using server = await openServer({ clientCa: authority.caFile, clientCertificates: "optional" });
    expect(await ask(server.port)).toBe(ANSWER);
    expect(await ask(server.port, shown())).toBe(ANSWER);
  });

  test("a list of revoked ones that is not there, or over, lets nobody in", async () => {
    await using other = await openTestAuthority("another authority");
    const crl = await other.revoke();
    await using server = await openServer({ clientCa: authority.caFile, crl });
    expect(await ask(server.port, shown())).not.toBe(ANSWER);
  });

  test("of one that was revoked meanwhile: its connections end, others' go on, and no old session lets it in again", async () => {
    const crl = await authority.revoke();
    await using server = await openServer({ clientCa: authority.caFile, crl });
    const { cert, key } = await authority.issue("leaver");
    const open = async (options: ConnectionOptions): Promise<TLSSocket> => {
      const socket = connect({ port: server.port, host: "127.0.0.1", ca: authority.cert, ...options });
      socket.on("error", () => {});
      await once(socket, "session");
      return socket;
    };
    const leaver = await open({ cert, key });
    const stayer = await open(shown());
    const session = leaver.getSession()!;
    expect(await ask(server.port, { cert, key, session })).toBe(ANSWER);
    await authority.revoke(cert);
    expect(await server.credentials.look()).toBe(true);
    await once(leaver, "close");
    stayer.write("GET /nothing HTTP/1.1\r\nhost: here\r\n\r\n");
    expect(String((await once(stayer, "data"))[0])).toContain(ANSWER);
    stayer.destroy();
    expect(await ask(server.port, { cert, key, session })).not.toBe(ANSWER);
  });
});

describe("what is no handshake", () => {
  test.for([
    ["garbage", "\x00\xff\x13 what is this"],
    ["HTTP in cleartext", "GET / HTTP/1.1\r\nhost: here\r\n\r\n"],
    ["an HTTP/2 preface in cleartext", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ])("is cut off, and the others are served: %s", async ([, bytes]) => {
    await using server = await openServer();
    await using raw = await openRawConnection(server.port);
    raw.socket.write(Buffer.from(bytes!, "latin1"));
    await raw.closed;
    expect(server.refusals).toHaveLength(1);
    expect(await ask(server.port)).toBe(ANSWER);
  });

  test("a handshake that takes too long is cut off, silent or not", async () => {
    await using server = await openServer({ handshakeTimeoutMs: 50 });
    await using silent = await openRawConnection(server.port);
    await using slow = await openRawConnection(server.port);
    slow.socket.write(Buffer.from([0x16, 0x03, 0x01]));
    await Promise.all([silent.closed, slow.closed]);
    expect(server.refusals).toEqual(["handshake: ERR_TLS_HANDSHAKE_TIMEOUT", "handshake: ERR_TLS_HANDSHAKE_TIMEOUT"]);
    await expect.poll(() => server.listener.connections).toBe(0);
  });

  test.for(["h2", "http/1.1"])("whoever shakes hands for %s and then says nothing is cut off", async (protocol) => {
    await using server = await openServer({}, { limits: { firstByteTimeoutMs: 50, headersTimeoutMs: 50 } });
    const socket = connect({ port: server.port, host: "127.0.0.1", ca: authority.cert, ALPNProtocols: [protocol] });
    await once(socket, "secureConnect");
    socket.resume();
    await once(socket, "close");
    await expect.poll(() => server.listener.connections).toBe(0);
  });
});

describe("a drain", () => {
  test("cuts handshakes off and lets calls finish", async () => {
    await using server = await openServer();
    await using silent = await openRawConnection(server.port);
    const health = createClient(
      Health,
      createGrpcTransport({ baseUrl: server.url, nodeOptions: { ca: authority.cert } }),
    );
    const stop = new AbortController();
    const watched = health.watch({}, { signal: stop.signal })[Symbol.asyncIterator]();
    await watched.next();
    const drained = server.listener.drain(60_000);
    await silent.closed;
    server.health.set("", "NOT_SERVING");
    expect((await watched.next()).value).toMatchObject({ status: HealthCheckResponse_ServingStatus.NOT_SERVING });
    stop.abort();
    expect(await drained).toEqual({ forced: 0 });
  });

  test("cuts off what goes on for too long", async () => {
    await using server = await openServer();
    const health = createClient(
      Health,
      createGrpcTransport({ baseUrl: server.url, nodeOptions: { ca: authority.cert } }),
    );
    const watched = health.watch({})[Symbol.asyncIterator]();
    await watched.next();
    const cut = expect(watched.next()).rejects.toThrow();
    expect(await server.listener.drain(10)).toEqual({ forced: 1 });
    await cut;
  });
});

describe("addresses", () => {
  test("that are not allowed are cut off before the handshake", async () => {
    await using server = await openServer({}, { allow: ["10.0.0.0/8", "127.0.0.2"] });
    await using raw = await openRawConnection(server.port);
    await raw.closed;
    expect(server.refusals).toEqual(["address"]);
    expect(await ask(server.port, { localAddress: "127.0.0.2" })).toBe(ANSWER);
  });
});

describe("options", () => {
  test("that do not fit are refused in one line", async () => {
    const other = await authority.issue("other");
    const wrong = async (options: Partial<ServerTlsOptions>): Promise<string> => {
      try {
        using _ = await openServerCredentials({ cert: files.certFile, key: files.keyFile, ...options }, silentLogger);
        return "taken";
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        return (error as Error).message;
      }
    };
    expect(await wrong({})).toBe("taken");
    expect(await wrong({ cert: files.cert, key: files.key })).toBe("taken");
    expect(await wrong({ key: other.keyFile })).toMatch(
      /^the key in .*other.key is not that of the certificate in .*server.crt$/,
    );
    expect(await wrong({ key: `${other.keyFile}.gone` })).toMatch(/^the TLS key can't be read: ENOENT/);
    expect(await wrong({ key: authority.caFile })).toMatch(/ca.crt holds no key, or one that is encrypted$/);
    expect(await wrong({ cert: files.keyFile })).toMatch(/server.key holds no certificate$/);
    expect(await wrong({ clientCertificates: "required" })).toBe(
      "client certificates are required, but no authority for them is named",
    );
    expect(await wrong({ crl: files.certFile })).toMatch(/client certificates are off$/);
    expect(await wrong({ clientCa: authority.caFile, crl: files.certFile })).toMatch(/do not fit|can't be read/);
    expect(await wrong({ handshakeTimeoutMs: 0 })).toBe("handshakeTimeoutMs must be from 1 to 600000, got 0");
  });
});
