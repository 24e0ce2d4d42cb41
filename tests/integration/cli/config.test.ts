// `mycel config` as a process: what holds and where it is from, every mistake at once, and never a secret.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CliResult, runCli } from "../../support/cli.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cli-config-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function put(text: string): Promise<string> {
  const file = join(folder, "mycel.yaml");
  await writeFile(file, text);
  return file;
}

const config = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> =>
  runCli("", ["config", ...args], { env });

test("what is set is shown with where it is from, and no secret is", async () => {
  const file = await put(`nats:\n  urls: ["nats://me:hunter2hunter2@10.0.0.1:4222"]\nworker: { name: one }\n`);
  const env = { OPENAI_API_KEY: "hunter2hunter2", MYCEL_LEASE: "1m", MYCEL_LEAES: "1m", VAULT_TOKEN_FILE: "/run/t" };
  const { stdout, stderr, code } = await config(["show", "--config", file], env);
  expect(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {2,}/)),
  ).toEqual([
    ["KEY", "VALUE", "FROM"],
    ["coordinator.lease", "1m", "MYCEL_LEASE"],
    ["nats.urls", "nats://[redacted]@10.0.0.1:4222", `${file}:2:3`],
    ["worker.name", "one", `${file}:3:11`],
    ["worker.inference.openai.key", "[secret]", "OPENAI_API_KEY"],
    ["vault.token", "file:/run/t", "VAULT_TOKEN_FILE"],
  ]);
  expect([stderr, code]).toEqual(["MYCEL_LEAES is read by nothing; did you mean MYCEL_LEASE?\n", 0]);
});

test("everything is shown when asked for, as JSON too, and nothing when nothing is set", async () => {
  const { stdout } = await config(["show", "--defaults", "--json"], {
    MYCEL_CONFIG: await put("log: { level: warn }\n"),
  });
  const entries = JSON.parse(stdout) as { key: string; value: unknown; source: string }[];
  expect(entries.length).toBeGreaterThan(60);
  expect(entries.find(({ key }) => key === "log.level")).toMatchObject({
    value: "warn",
    source: expect.stringMatching(/:1:8$/) as string,
  });
  expect(entries.find(({ key }) => key === "coordinator.lease")).toMatchObject({ value: "30s", source: "default" });
  expect(entries.find(({ key }) => key === "vault.token")).toMatchObject({ value: null, source: "default" });
  expect(await config(["show"])).toEqual({
    code: 0,
    stdout: "",
    stderr: "nothing is set: all defaults hold, which --defaults shows\n",
  });
});

test("a file that is right is, and of one that is not every mistake is told, with exit code 2", async () => {
  const right = await put("coordinator: { lease: 1m }\n");
  expect(await config(["check", right])).toEqual({ code: 0, stdout: `${right} is right: 1 setting\n`, stderr: "" });
  const wrong = await put("coordinator:\n  leese: 1m\n  drain: soon\nvault: { token: hunter2hunter2 }\n");
  const { code, stdout, stderr } = await config(["check", wrong]);
  expect([code, stdout, stderr.trimEnd().split("\n")]).toEqual([
    2,
    "",
    [
      `mycel: ${wrong}:2:3: unknown key coordinator.leese; did you mean coordinator.lease?`,
      `${wrong}:3:3: coordinator.drain must be a duration from 0ms to 1h, e.g. 10s, is "soon"`,
      `${wrong}:4:10: vault.token must not hold the secret itself: use file:PATH or vault:MOUNT/PATH#FIELD, or the variable VAULT_TOKEN`,
    ],
  ]);
  expect(await config(["show", "--config", wrong])).toMatchObject({ code: 2, stdout: "" });
  expect(await config(["check", folder])).toMatchObject({
    code: 2,
    stderr: `mycel: ${folder} must be a file, is a folder\n`,
  });
});

test("a setting that needs another is told, unless a variable gives it", async () => {
  const file = await put(
    "coordinator: { tls: { certFile: a.crt } }\nvault: { address: https://vault:8200, auth: approle, roleId: r }\n",
  );
  const { code, stderr } = await config(["check", file]);
  expect([code, stderr.trimEnd().split("\n")]).toEqual([
    2,
    [
      expect.stringMatching(/^mycel: coordinator\.tls\.keyFile \(MYCEL_TLS_KEY_FILE\) must be given/) as string,
      "vault.secretId (MYCEL_VAULT_SECRET_ID) must be given: Vault is set up with vault.auth approle",
    ],
  ]);
  const env = { MYCEL_TLS_KEY_FILE: "a.key", MYCEL_VAULT_SECRET_ID_FILE: "/run/id" };
  expect(await config(["check", file], env)).toMatchObject({ code: 0, stderr: "" });
});

test("the reference is printed, and put into a file where the mark is", async () => {
  const printed = await config(["docs"]);
  expect(printed.stdout).toContain("| `coordinator.listen` | `MYCEL_LISTEN` |");
  const file = join(folder, "docs.md");
  await writeFile(file, "# By hand\n\n<!-- settings -->\n\nold\n");
  expect(await config(["docs", "--into", file])).toMatchObject({ code: 0, stdout: "" });
  expect(await readFile(file, "utf8")).toBe(`# By hand\n\n<!-- settings -->\n\n${printed.stdout}`);
  await writeFile(file, "no mark\n");
  expect(await config(["docs", "--into", file])).toMatchObject({ code: 1 });
  expect(await readFile(file, "utf8")).toBe("no mark\n");
});
