// Whom the client trusts and what it shows of itself, over real handshakes: authorities, names, dates, pins, and files that change.
import { rm, writeFile } from "node:fs/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { pinOf, certificatesIn } from "../../../lib/tls/certificate-facts.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { type ClientOptions, type ClientTlsOptions, createClient } from "../../../sdk/client/index.ts";
import { defineAgent, runAgent } from "../../../sdk/agent/index.ts";
import { type CertificateFiles, openTestAuthority, type TestAuthority } from "../../support/certificates.ts";
import { type FakeCoordinator, openFakeCoordinator } from "../../support/fake-coordinator.ts";
import { openTlsServer } from "../../support/tls-server.ts";

let authority: TestAuthority;
let server: CertificateFiles;
let own: CertificateFiles;
beforeAll(async () => {
  authority = await openTestAuthority();
  server = await authority.issue("server", { use: "server" });
  own = await authority.issue("own", { use: "client" });
});
afterAll(() => authority[Symbol.asyncDispose]());

const openMesh = (certificate: CertificateFiles = server, more: object = {}): Promise<FakeCoordinator> =>
  openFakeCoordinator({ tls: { cert: certificate.cert, key: certificate.key, ...more } });
const pin = ({ cert }: { readonly cert: string }): string => pinOf(certificatesIn(cert)[0]!);

/** Submits a task: `fine`, or what the error says. */
async function submit(url: string, tls: ClientTlsOptions, more: Partial<ClientOptions> = {}): Promise<string> {
  await using client = createClient({ url, tls, retry: { attempts: 1 }, ...more });
  try {
    await client.submit("echo");
    return "fine";
  } catch (error) {
    return (error as Error).message;
  }
}

describe("a server", () => {
  test("is believed if its authority is", async () => {
    await using mesh = await openMesh();
    expect(await submit(mesh.url, { ca: authority.caFile })).toBe("fine");
    expect(await submit(mesh.url, { ca: authority.cert })).toBe("fine");
    const untrusted = `cannot connect to ${mesh.url}: its certificate is not signed by an authority that is trusted here`;
    expect(await submit(mesh.url, {})).toBe(untrusted);
    await using other = await openTestAuthority();
    expect(await submit(mesh.url, { ca: other.caFile })).toBe(untrusted);
    await using another = await openTestAuthority("another authority");
    expect(await submit(mesh.url, { ca: another.caFile })).toBe(untrusted);
    expect(mesh.calls).toHaveLength(2);
  });

  test("is not believed beyond its dates, its names and its purpose", async () => {
    const says = async (certificate: CertificateFiles, tls: ClientTlsOptions = {}): Promise<string> => {
      await using mesh = await openMesh(certificate);
      const line = await submit(mesh.url, { ca: authority.cert, ...tls });
      expect(mesh.calls).toHaveLength(line === "fine" ? 1 : 0);
      return line.replace(`cannot connect to ${mesh.url}: `, "");
    };
    const day = 86_400_000;
    expect(await says(await authority.issue("over", { nowMs: Date.now() - 3 * day }))).toBe("its certificate is over");
    expect(await says(await authority.issue("early", { nowMs: Date.now() + 3 * day }))).toBe(
      "its certificate is not valid yet",
    );
    expect(await says(own)).toBe("its certificate is not one for servers");
    const elsewhere = await authority.issue("elsewhere", { hosts: ["mesh.example.org"] });
    expect(await says(elsewhere)).toMatch(/^its certificate is for others: IP: 127.0.0.1 is not in the cert's list/);
    expect(await says(elsewhere, { serverName: "mesh.example.org" })).toBe("fine");
    expect(await says(elsewhere, { serverName: "other.example.org" })).toMatch(
      /^its certificate is for others: Host: other/,
    );
    // The common name of its subject names no host.
    expect(await says(await authority.issue("127.0.0.1", { hosts: [] }))).toMatch(/^its certificate is for others/);
  });

  test("that does not speak TLS, or nothing new enough, is told from one that is not there", async () => {
    await using plain = await openFakeCoordinator();
    const url = plain.url.replace("http:", "https:");
    expect(await submit(url, { ca: authority.cert })).toBe(`cannot connect to ${url}: it does not speak TLS there`);
    await using old = await openMesh(server, { maxVersion: "TLSv1.2" });
    expect(await submit(old.url, { ca: authority.cert })).toMatch(/: TLS failed: tlsv1 alert protocol version$/);
    expect(await submit(old.url, { ca: authority.cert, minVersion: "TLSv1.2" })).toBe("fine");
  });
});

describe("pins", () => {
  test("are of the server's own key, beside all other trust", async () => {
    await using mesh = await openMesh();
    const other = await authority.issue("other");
    const mismatch = `cannot connect to ${mesh.url}: the public key of 127.0.0.1 is none of the pinned ones`;
    expect(await submit(mesh.url, { ca: authority.cert, pins: [pin(server)] })).toBe("fine");
    expect(await submit(mesh.url, { ca: authority.cert, pins: [pin(other), pin(server)] })).toBe("fine");
    expect(await submit(mesh.url, { ca: authority.cert, pins: [pin(other)] })).toBe(mismatch);
    expect(await submit(mesh.url, { pins: [pin(server)] })).toContain("not signed by an authority");
    expect(mesh.calls).toHaveLength(2);
  });

  test("of an authority that a server sends along are not its own", async () => {
    const { cert, key } = await authority.issue("chained");
    await using mesh = await openFakeCoordinator({ tls: { cert: cert + authority.cert, key } });
    expect(await submit(mesh.url, { ca: authority.cert, pins: [pin(authority)] })).toContain("none of the pinned ones");
  });

  test("outlive a certificate that is renewed with its key", async () => {
    const renewed = await authority.issue("renewed", { key: server.key });
    await using mesh = await openMesh(renewed);
    expect(await submit(mesh.url, { ca: authority.cert, pins: [pin(server)] })).toBe("fine");
  });

  test("hold for every connection: one that is made anew, too", async () => {
    await using mesh = await openMesh();
    await using client = createClient({ url: mesh.url, tls: { ca: authority.cert, pins: [pin(server)] } });
    await client.submit("echo");
    await mesh.stop();
    const impostor = await authority.issue("impostor");
    await using _ = await openFakeCoordinator({ port: mesh.port, tls: { cert: impostor.cert, key: impostor.key } });
    await expect(client.submit("echo", undefined, { timeoutMs: 300 })).rejects.toThrow("none of the pinned ones");
  });
});

describe("the client's certificate", () => {
  const required = () => ({ ca: authority.cert, requestCert: true, rejectUnauthorized: true });

  test("is shown where one is required", async () => {
    await using mesh = await openMesh(server, required());
    expect(await submit(mesh.url, { ca: authority.cert, cert: own.certFile, key: own.keyFile })).toBe("fine");
    expect(await submit(mesh.url, { ca: authority.cert, cert: own.cert, key: own.key })).toBe("fine");
    expect(await submit(mesh.url, { ca: authority.cert })).toContain("it requires a client certificate");
  });

  test("is read anew for each connection; what is broken does not take the place of what was good", async () => {
    const mine = await authority.issue("mine");
    const shown: string[] = [];
    const warnings: unknown[] = [];
    const logger: Logger = { ...silentLogger, warn: (fields) => warnings.push(fields["reason"]), child: () => logger };
    await using mesh = await openMesh(server, required());
    await using client = createClient({
      url: mesh.url,
      logger,
      tls: { ca: authority.caFile, cert: mine.certFile, key: mine.keyFile },
    });
    const submitAnew = async (): Promise<void> => {
      mesh.cut();
      await expect.poll(() => mesh.connections).toBe(0);
      await client.submit("echo");
      shown.push(mesh.clientCertificates.at(-1)!);
    };
    await submitAnew();
    const renewed = await authority.issue("mine");
    await submitAnew();
    await writeFile(mine.keyFile, "broken");
    await submitAnew();
    await rm(mine.certFile);
    await submitAnew();
    const last = await authority.issue("mine");
    await submitAnew();
    const printOf = ({ cert }: CertificateFiles): string => certificatesIn(cert)[0]!.fingerprint256;
    expect(shown).toEqual([mine, renewed, renewed, renewed, last].map(printOf));
    expect(warnings).toEqual([
      expect.stringMatching(/mine.key holds no PEM$/),
      expect.stringMatching(/^tls.cert can't be read: ENOENT/),
    ]);
  });

  test("that can't be used is refused in one line", () => {
    const line = (tls: ClientTlsOptions): string => {
      try {
        void createClient({ url: "https://127.0.0.1:1", tls })[Symbol.asyncDispose]();
        return "taken";
      } catch (error) {
        expect(error).toMatchObject({ reason: "INVALID_OPTION" });
        return (error as Error).message;
      }
    };
    expect(line({ cert: own.cert })).toBe("tls.cert and tls.key must be given together");
    expect(line({ cert: own.certFile, key: server.keyFile })).toMatch(
      /^tls: the certificates and the key in .* can't be used together$/,
    );
    expect(line({ ca: "/nowhere" })).toBe("tls.ca can't be read: ENOENT: no such file or directory, open '/nowhere'");
    expect(line({ pins: ["sha256/abc"] })).toBe(
      'tls.pins must be SHA-256 sums in base64 or hexadecimal, got "sha256/abc"',
    );
    expect(() => createClient({ url: "http://192.0.2.1", tls: {} })).toThrow(
      "tls is given, but http://192.0.2.1 is not encrypted: use https",
    );
  });
});

describe("an agent", () => {
  const agent = defineAgent({ name: "a", capabilities: { echo: () => null } });

  test("that does not trust the coordinator says so and sends nothing", async () => {
    await using mesh = await openMesh();
    const run = (tls: ClientTlsOptions): Promise<unknown> =>
      runAgent(agent, { url: mesh.url, token: "secret", tls, connectTimeoutMs: 3_000, logger: silentLogger });
    await expect(run({})).rejects.toThrow(
      /^no coordinator answers at .*: its certificate is not signed by an authority/,
    );
    const pins = [pin(own)];
    await expect(run({ ca: authority.cert, pins })).rejects.toThrow(/none of the pinned ones$/);
    expect(mesh.calls).toEqual([]);
  });

  test("shows its token, and never unencrypted beyond this machine", async () => {
    const shown: unknown[] = [];
    await using mesh = await openTlsServer(
      { cert: server.certFile, key: server.keyFile },
      {
        routes: (router) =>
          router.service(AgentService, {
            registerAgent(_, { requestHeader }) {
              shown.push(requestHeader.get("authorization"));
              throw new ConnectError("no", Code.PermissionDenied);
            },
          }),
      },
    );
    const options = { connectTimeoutMs: 5_000, logger: silentLogger };
    for (const more of [{ token: () => "secret" }, { apiKey: "mk_key" }]) {
      await expect(
        runAgent(agent, { ...options, url: mesh.url, tls: { ca: authority.cert }, ...more }),
      ).rejects.toThrow("refused the agent: no");
    }
    expect(shown).toEqual(["Bearer secret", "Bearer mk_key"]);
    await expect(runAgent(agent, { ...options, url: "http://192.0.2.1", token: "secret" })).rejects.toThrow(
      "credentials are not sent unencrypted to 192.0.2.1: use https",
    );
  });
});
