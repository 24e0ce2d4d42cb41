// `mycel certs` as a process: what it writes, for whom, and what it never does.
import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { factsOf } from "../../../lib/tls/certificate-facts.ts";
import { runCli } from "../../support/cli.ts";
import { runCommand } from "../../support/command.ts";

let dir: string;
let pki: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mycel-test-certs-"));
  pki = join(dir, "pki");
  expect(await certs("init", pki, "--name", "test mesh")).toMatchObject({ code: 0 });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const certs = (...args: string[]): ReturnType<typeof runCli> => runCli("http://127.0.0.1:1", ["certs", ...args]);
const issue = async (name: string, ...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await certs("issue", pki, "--name", name, ...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
};
const read = async (name: string): Promise<X509Certificate> =>
  new X509Certificate(await readFile(join(pki, `${name}.crt`)));
const refused = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await certs(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr.trim().split("\n")).toHaveLength(1);
  return stderr;
};

test("an authority is made once, and its key is for its owner alone", async () => {
  const before = await readFile(join(pki, "ca.key"), "utf8");
  expect((await stat(pki)).mode & 0o777).toBe(0o700);
  expect((await stat(join(pki, "ca.key"))).mode & 0o777).toBe(0o600);
  expect(await refused("init", pki)).toContain("ca.crt is there already");
  expect(await readFile(join(pki, "ca.key"), "utf8")).toBe(before);
  expect((await read("ca")).ca).toBe(true);
});

test("a certificate has the names and the use that were asked for, and OpenSSL believes it", async () => {
  const line = await issue("coordinator", "--host", "mesh.example.org", "--host", "10.0.0.7", "--days", "90");
  const certificate = await read("coordinator");
  const { hosts, pin, expiresMs } = factsOf(certificate);
  expect(hosts).toEqual(["mesh.example.org", "10.0.0.7"]);
  expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  expect(line).toContain(pin);
  expect(Math.round((expiresMs - Date.now()) / 86_400_000)).toBe(90);
  await issue("agent", "--client", "--spiffe", "spiffe://mesh/agent/one");
  expect((await read("agent")).keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
  expect(factsOf(await read("agent")).uris).toEqual(["spiffe://mesh/agent/one"]);
  expect((await stat(join(pki, "agent.key"))).mode & 0o777).toBe(0o600);
  const verified = await runCommand("openssl", [
    "verify",
    "-x509_strict",
    "-CAfile",
    join(pki, "ca.crt"),
    join(pki, "coordinator.crt"),
    join(pki, "agent.crt"),
  ]);
  expect(verified.stdout.match(/: OK$/gm)).toHaveLength(2);
});

test("nothing is written over", async () => {
  await issue("once", "--client");
  const before = await readFile(join(pki, "once.key"), "utf8");
  expect(await refused("issue", pki, "--name", "once", "--client")).toContain("once.crt is there already");
  await writeFile(join(pki, "halfway.key"), "mine");
  expect(await refused("issue", pki, "--name", "halfway", "--client")).toContain("halfway.key is there already");
  expect(await readFile(join(pki, "once.key"), "utf8")).toBe(before);
  expect(await readFile(join(pki, "halfway.key"), "utf8")).toBe("mine");
});

test("what is renewed keeps its names, its use and its key, unless a new key is wanted", async () => {
  await issue("renewed", "--host", "localhost", "--server", "--spiffe", "spiffe://mesh/x", "--days", "7");
  const before = await read("renewed");
  expect((await certs("renew", pki, "--name", "renewed")).code).toBe(0);
  const after = await read("renewed");
  const names = (certificate: X509Certificate): unknown => [
    certificate.subject,
    certificate.subjectAltName,
    certificate.keyUsage,
  ];
  expect(names(after)).toEqual(names(before));
  expect(after.serialNumber).not.toBe(before.serialNumber);
  expect(factsOf(after).pin).toBe(factsOf(before).pin);
  expect(after.validToDate.getTime() - after.validFromDate.getTime()).toBeLessThan(8 * 86_400_000);
  expect((await certs("renew", pki, "--name", "renewed", "--new-key", "--days", "30")).code).toBe(0);
  expect(factsOf(await read("renewed")).pin).not.toBe(factsOf(before).pin);
  expect((await readdir(pki)).filter((file) => file.endsWith(".new"))).toEqual([]);
});

test("what is revoked is in the list with all that it was renewed from, and the others are not", async () => {
  await issue("leaver", "--client");
  const first = join(dir, "first.crt");
  await writeFile(first, await readFile(join(pki, "leaver.crt")));
  expect((await certs("renew", pki, "--name", "leaver")).code).toBe(0);
  await issue("stayer", "--client");
  expect((await certs("revoke", pki, "--name", "leaver")).stdout.trim()).toBe(join(pki, "ca.crl"));
  await issue("second-leaver", "--client");
  expect((await certs("revoke", pki, "--name", "second-leaver")).code).toBe(0);
  const verify = async (file: string): Promise<boolean> => {
    const args = ["verify", "-crl_check", "-CAfile", join(pki, "ca.crt"), "-CRLfile", join(pki, "ca.crl"), file];
    return (await runCommand("openssl", args)).code === 0;
  };
  expect(await verify(first)).toBe(false);
  expect(await verify(join(pki, "leaver.crt"))).toBe(false);
  expect(await verify(join(pki, "second-leaver.crt"))).toBe(false);
  expect(await verify(join(pki, "stayer.crt"))).toBe(true);
});

test("mistakes are told in one line", async () => {
  expect(await refused("issue", join(dir, "nowhere"), "--name", "x", "--client")).toContain(
    'make one with "mycel certs init',
  );
  expect(await refused("issue", pki, "--name", "../x", "--client")).toContain("is no name");
  expect(await refused("issue", pki, "--name", "ca", "--client")).toContain("is no name");
  expect(await refused("issue", pki, "--name", "x", "--server")).toContain("needs the hosts");
  expect(await refused("issue", pki, "--name", "x", "--server", "--client")).toContain("exclude each other");
  expect(await refused("issue", pki, "--name", "x", "--host", "a b")).toContain("Write a host name");
  expect(await refused("issue", pki, "--name", "x", "--spiffe", "no uri")).toContain("Write a URI");
  expect(await refused("issue", pki, "--name", "x", "--client", "--days", "0")).toContain("Write a whole number");
  expect(await refused("renew", pki, "--name", "nobody")).toContain("there is no certificate nobody");
  expect(await refused("revoke", pki, "--name", "nobody")).toContain("there is no certificate nobody");
  expect(await refused("show", join(pki, "ca.key"))).toContain("holds no certificate");
  expect(await refused("show", join(pki, "gone.crt"))).toContain("can't be read");
});

test("a certificate is shown with its pin, as JSON, too", async () => {
  await issue("shown", "--client", "--spiffe", "spiffe://mesh/shown");
  const { pin, fingerprint } = factsOf(await read("shown"));
  const { stdout } = await certs("show", join(pki, "shown.crt"));
  expect(stdout).toContain(pin);
  expect(stdout).toContain("spiffe://mesh/shown");
  expect(JSON.parse((await certs("show", join(pki, "shown.crt"), "--json")).stdout)).toMatchObject({
    certificates: [{ commonName: "shown", uris: ["spiffe://mesh/shown"], pin, fingerprint }],
  });
});
