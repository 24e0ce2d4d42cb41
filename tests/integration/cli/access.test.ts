// The command against a coordinator that speaks TLS, asks for certificates, and looks at credentials: by flags, by variables, and in what it
// prints of them.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certificatesIn, pinOf } from "../../../lib/tls/certificate-facts.ts";
import { type CertificateFiles, openTestAuthority, type TestAuthority } from "../../support/certificates.ts";
import { runCli } from "../../support/cli.ts";
import { type FakeCoordinator, openFakeCoordinator } from "../../support/fake-coordinator.ts";

let authority: TestAuthority;
let own: CertificateFiles;
let mesh: FakeCoordinator;
let tokenFile: string;
beforeAll(async () => {
  authority = await openTestAuthority();
  const server = await authority.issue("server");
  own = await authority.issue("own", { use: "client" });
  tokenFile = join(authority.dir, "token");
  await writeFile(tokenFile, "of-the-file\n");
  mesh = await openFakeCoordinator({
    tls: { cert: server.cert, key: server.key, ca: authority.cert, requestCert: true, rejectUnauthorized: true },
  });
});
afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

const flags = (): string[] => ["--ca", authority.caFile, "--cert", own.certFile, "--key", own.keyFile];
const variables = (): Record<string, string> => ({
  MYCEL_CA_FILE: authority.caFile,
  MYCEL_CERT_FILE: own.certFile,
  MYCEL_KEY_FILE: own.keyFile,
});
const lastShown = (): string | null => mesh.calls.at(-1)!.headers.get("authorization");

describe("a command", () => {
  test("trusts and shows what its flags say", async () => {
    const { code, stderr } = await runCli(mesh.url, [...flags(), "--token-file", tokenFile, "submit", "echo"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(lastShown()).toBe("Bearer of-the-file");
  });

  test("trusts and shows what its variables say, and its flags before them", async () => {
    const env = { ...variables(), MYCEL_API_KEY: "mk_key" };
    expect(await runCli(mesh.url, ["submit", "echo"], { env })).toMatchObject({ code: 0 });
    expect(lastShown()).toBe("Bearer mk_key");
    expect(await runCli(mesh.url, ["--token-file", tokenFile, "submit", "echo"], { env })).toMatchObject({ code: 0 });
    expect(lastShown()).toBe("Bearer of-the-file");
    const pinned = await runCli(mesh.url, ["--pin", pinOf(certificatesIn(own.cert)[0]!), "submit", "echo"], { env });
    expect(pinned.code).toBe(1);
    expect(pinned.stderr).toContain("none of the pinned ones");
  });

  test("checks the mesh with the same", async () => {
    const { stdout } = await runCli(mesh.url, ["doctor"], { env: { ...variables(), MYCEL_TOKEN: "secret" } });
    expect(stdout).toMatch(/coordinator .*is serving/);
  });

  test("says in one line why it is not believed, or does not believe", async () => {
    const line = async (args: string[], env: Record<string, string> = {}): Promise<string> => {
      const { code, stderr } = await runCli(mesh.url, [...args, "list"], { env });
      expect(code).not.toBe(0);
      expect(stderr.trim().split("\n")).toHaveLength(1);
      return stderr;
    };
    expect(await line([])).toContain("its certificate is not signed by an authority that is trusted here");
    expect(await line(["--ca", authority.caFile])).toContain("it requires a client certificate");
    expect(await line(["--ca", "/nowhere"])).toContain("tls.ca can't be read");
    expect(await line(["--token-file", "/nowhere", ...flags()])).toContain("no credential for the call: ENOENT");
    expect(await line([], { MYCEL_TOKEN: "a", MYCEL_API_KEY: "b" })).toContain("a token and an API key are both set");
    expect(await line(["--url", "http://192.0.2.1", "--token-file", tokenFile])).toContain(
      "credentials are not sent unencrypted to 192.0.2.1: use https",
    );
  });

  test("prints grpcurl's calls with the names of secrets and never with the secrets", async () => {
    const env = { ...variables(), MYCEL_TOKEN: "very-secret" };
    const { code, stdout, stderr } = await runCli(mesh.url, ["get", "t-1", "--grpcurl"], { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(
      `grpcurl -cacert ${authority.caFile} -cert ${own.certFile} -key ${own.keyFile} -expand-headers -H 'authorization: Bearer \${MYCEL_TOKEN}' `,
    );
    expect(stdout).not.toContain("very-secret");
    const ofFile = await runCli(mesh.url, ["--token-file", tokenFile, "get", "t-1", "--grpcurl"]);
    expect(ofFile.stdout).toContain(`MYCEL_TOKEN="$(cat ${tokenFile})" grpcurl -expand-headers`);
    expect(ofFile.stdout).not.toContain("of-the-file");
  });
});
