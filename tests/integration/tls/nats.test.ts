// Connections to a real nats-server over TLS: whom they believe, what they show, what becomes of them as certificates change.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type NatsOptions, openNats } from "../../../lib/nats/connection.ts";
import { natsTls, type NatsTlsOptions } from "../../../lib/nats/nats-tls.ts";
import { certificatesIn, pinOf } from "../../../lib/tls/certificate-facts.ts";
import { type CertificateFiles, openTestAuthority, type TestAuthority } from "../../support/certificates.ts";
import { runCli } from "../../support/cli.ts";
import { openTestNats, type TestNats } from "../../support/nats.ts";

let authority: TestAuthority;
let server: CertificateFiles;
let own: CertificateFiles;
beforeAll(async () => {
  authority = await openTestAuthority();
  server = await authority.issue("nats");
  own = await authority.issue("own", { use: "client" });
});
afterAll(() => authority[Symbol.asyncDispose]());

const openServer = (certificate: CertificateFiles = server, ...lines: string[]): Promise<TestNats> =>
  openTestNats({
    extraConfig: [
      "tls {",
      `cert_file: "${certificate.certFile}"`,
      `key_file: "${certificate.keyFile}"`,
      `ca_file: "${authority.caFile}"`,
      'min_version: "1.3"',
      ...lines,
      "}",
    ].join("\n"),
  });
const open = async (nats: TestNats, tls?: NatsTlsOptions, more: Partial<NatsOptions> = {}): Promise<string> => {
  try {
    await using connection = await openNats({ servers: nats.url, name: "test", connectTimeoutMs: 2_000, tls, ...more });
    await connection.flush();
    return "fine";
  } catch (error) {
    return (error as Error).message.replace(`cannot connect to NATS at ${nats.url}: `, "");
  }
};
const mutual = (): NatsTlsOptions => ({ ca: authority.caFile, cert: own.certFile, key: own.keyFile });

describe.for([false, true])("with the handshake first: %s", (first) => {
  const lines = first ? ["handshake_first: true"] : [];

  test("a server is believed by its authority, its names, its dates and its pin", async () => {
    await using nats = await openServer(server, ...lines);
    await using other = await openTestAuthority("other");
    expect(await open(nats, { first, ca: authority.caFile })).toBe("fine");
    expect(await open(nats, { first })).toBe("its certificate is not signed by an authority that is trusted here");
    expect(await open(nats, { first, ca: other.caFile })).toBe(
      "its certificate is not signed by an authority that is trusted here",
    );
    const pins = [pinOf(certificatesIn(server.cert)[0]!)];
    expect(await open(nats, { first, ca: authority.caFile, pins })).toBe("fine");
    expect(await open(nats, { first, ca: authority.caFile, pins: [pinOf(certificatesIn(own.cert)[0]!)] })).toContain(
      "none of the pinned ones",
    );
    await using over = await openServer(
      await authority.issue("over", { nowMs: Date.now() - 3 * 86_400_000 }),
      ...lines,
    );
    expect(await open(over, { first, ca: authority.caFile })).toBe("its certificate is over");
  });

  test("a server that is reached by its address must have it, not any other name of this machine", async () => {
    await using named = await openServer(await authority.issue("named", { hosts: ["localhost"] }), ...lines);
    expect(await open(named, { first, ca: authority.caFile })).toMatch(/^its certificate is for others: IP: 127.0.0.1/);
    const servers = named.url.replace("127.0.0.1", "localhost");
    expect(await open(named, { first, ca: authority.caFile }, { servers })).toBe("fine");
    await using addressed = await openServer(await authority.issue("addressed", { hosts: ["127.0.0.1"] }), ...lines);
    expect(await open(addressed, { first, ca: authority.caFile })).toBe("fine");
    expect(await open(addressed, { first, ca: authority.caFile, serverName: "localhost" })).toMatch(
      /^its certificate is for others/,
    );
  });

  test("a client shows its certificate where one is required, and the renewed one when it connects anew", async () => {
    const mine = await authority.issue("mine", { use: "client", name: "first" });
    await using nats = await openServer(server, "verify: true", ...lines);
    expect(await open(nats, { first, ca: authority.caFile })).not.toBe("fine");
    expect(await open(nats, { first, ...mutual() })).toBe("fine");
    await using connection = await openNats({
      servers: nats.url,
      name: "test",
      tls: { first, ca: authority.caFile, cert: mine.certFile, key: mine.keyFile },
    });
    // The server names who is connected by the subject of its certificate.
    const subject = async (): Promise<unknown> => {
      const answer = await fetch(`${nats.monitorUrl}/connz?auth=true`);
      const { connections } = (await answer.json()) as {
        connections: { name: string; tls_peer_certs?: { subject: string }[] }[];
      };
      return connections.find(({ name }) => name === "test")?.tls_peer_certs?.[0]?.subject;
    };
    expect(await subject()).toBe("CN=first");
    await authority.issue("mine", { use: "client", name: "second" });
    await connection.reconnect();
    await expect.poll(subject, { timeout: 10_000 }).toBe("CN=second");
  });
});

describe("a server without TLS", () => {
  test("is not talked to where TLS is asked for", async () => {
    await using nats = await openTestNats();
    const says = async (tls: NatsTlsOptions | undefined, servers = nats.url): Promise<string> =>
      await open(nats, tls, { servers });
    expect(await says({ ca: authority.caFile })).not.toBe("fine");
    expect(await says({ ca: authority.caFile, first: true })).not.toBe("fine");
    expect(await says(undefined, nats.url.replace("nats:", "tls:"))).not.toBe("fine");
    expect(await says(undefined)).toBe("fine");
  });
});

test("mycel doctor reaches NATS as the settings of TLS say", async () => {
  await using nats = await openServer(server, "verify: true");
  const doctor = async (env: Readonly<Record<string, string>>): Promise<string | undefined> => {
    const { stdout } = await runCli("http://127.0.0.1:1", ["doctor", "--json"], {
      env: { NATS_URL: nats.url, ...env },
    });
    const { checks } = JSON.parse(stdout) as { checks: { name: string; state: string }[] };
    return checks.find(({ name }) => name === "nats")?.state;
  };
  const { ca = "", cert = "", key = "" } = mutual();
  expect(await doctor({ NATS_CA_FILE: ca, NATS_CERT_FILE: cert, NATS_KEY_FILE: key })).toBe("ok");
  expect(await doctor({ NATS_CA_FILE: ca })).toBe("broken");
});

test("what can't be used is refused in one line", () => {
  expect(() => natsTls({ cert: own.cert }, [])).toThrow("tls.cert and tls.key must be given together");
  expect(natsTls(undefined, ["nats://a", "b:4222"])).toBeUndefined();
});
