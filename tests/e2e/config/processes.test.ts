// The settings of real processes: what is wrong is one line and the right exit code, and no secret gets out on any way.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { openTestNats, type TestNats } from "../../support/nats.ts";
import { startProcess, type TestProcess } from "../../support/processes.ts";
import { VaultServer } from "../../support/vault-server.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const COORDINATOR = "services/coordinator/main.ts";
const WORKER = "services/worker/main.ts";
const PASSWORD = "hunter2hunter2";

let stack: AsyncDisposableStack;
let nats: TestNats;
let vault: VaultServer;
let dir: string;
let coordinator: TestProcess;

beforeAll(async () => {
  stack = new AsyncDisposableStack();
  dir = stack.adopt(await mkdtemp(join(tmpdir(), "settings-")), (path) => rm(path, { recursive: true }));
  nats = stack.use(await openTestNats());
  vault = stack.use(await VaultServer.open());
  vault.secrets.set("secret/mycel", { model: PASSWORD });
  // The server takes any name and password; what matters is that there is one.
  const natsUrl = nats.url.replace("nats://", `nats://me:${PASSWORD}@`);
  const file = join(dir, "coordinator.yaml");
  await writeFile(file, `nats: { urls: ["${natsUrl}"] }\ncoordinator: { listen: "127.0.0.1:0" }\n`);
  const env = { MYCEL_LEAES: "1s", MYCEL_AGENT_NATS_URL: nats.url };
  coordinator = stack.use(await startProcess(COORDINATOR, env, ["--config", file]));
});
afterAll(() => stack.disposeAsync());

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a process that does not come up. */
async function run(entry: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [join(ROOT, entry), ...args], {
    env: { PATH: process.env["PATH"], NODE_NO_WARNINGS: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { code: child.exitCode, out, err };
}

async function put(content: string): Promise<string> {
  const file = join(dir, "wrong.yaml");
  await writeFile(file, content);
  return file;
}

describe("a coordinator", () => {
  test("takes its settings from the file, and tells NATS's password to nobody", () => {
    expect(coordinator.ready["nats"]).toBe(`nats://[redacted]@${nats.url.replace("nats://", "")}`);
    expect(coordinator.output()).not.toContain(PASSWORD);
  });

  test("warns of a variable that nothing reads", () => {
    expect(coordinator.output()).toContain('"variable":"MYCEL_LEAES","did_you_mean":"MYCEL_LEASE"');
  });

  test.for<[string, string, readonly string[], RegExp]>([
    [
      "an unknown key",
      "coordinator: { lsten: x }\n",
      [],
      /^mycel coordinator: .*wrong\.yaml:1:16: unknown key coordinator\.lsten; did you mean coordinator\.listen\?\n$/,
    ],
    ["several mistakes", "a: 1\nb: 2\n", [], /^mycel coordinator: .*unknown key a \(and 1 more mistake\)\n$/],
    ["binary junk", "\u0001\u0002", [], /^mycel coordinator: .* must be text in UTF-8, is something else\n$/],
    [
      "another argument",
      "",
      ["--verbose"],
      /^mycel coordinator: only --config FILE may be given: Unknown option '--verbose'\n$/,
    ],
    [
      "Vault without a token",
      "vault: { address: http://127.0.0.1:1 }\n",
      [],
      /^mycel coordinator: vault\.token \(VAULT_TOKEN\) must be given: Vault is set up with vault\.auth token\n$/,
    ],
    [
      "a key of its own in the wrong place",
      "lease: 3s\n",
      [],
      /unknown key lease; did you mean coordinator\.lease\?\n$/,
    ],
  ])("ends with 2 and one line for %s", async ([, content, args, line]) => {
    const { code, err, out } = await run(COORDINATOR, ["--config", await put(content), ...args]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(line);
    expect(err.trimEnd()).not.toContain("\n");
  });

  test("ends without telling a password when NATS is not there", async () => {
    const { code, err, out } = await run(COORDINATOR, [], {
      NATS_URL: `nats://me:${PASSWORD}@127.0.0.1:1`,
      MYCEL_LISTEN: "127.0.0.1:0",
    });
    expect(code).toBe(1);
    expect(err).toContain("nats://[redacted]@127.0.0.1:1");
    expect(out + err).not.toContain(PASSWORD);
  });

  test("takes the headers of telemetry from Vault, and does not start without", async () => {
    vault.tokens.set("hvs.good", { ttl: 0, renewable: false });
    vault.secrets.set("secret/otel", { headers: `authorization=Bearer%20${PASSWORD}` });
    const env = {
      NATS_URL: nats.url,
      MYCEL_LISTEN: "127.0.0.1:0",
      VAULT_ADDR: vault.url,
      VAULT_TOKEN: "hvs.good",
      OTEL_EXPORTER_OTLP_ENDPOINT: vault.url,
      OTEL_EXPORTER_OTLP_HEADERS: "vault:secret/otel#headers",
    };
    await using started = await startProcess(COORDINATOR, env);
    expect(started.output()).not.toContain(PASSWORD);
    const { code, err } = await run(COORDINATOR, [], { ...env, OTEL_EXPORTER_OTLP_HEADERS: "vault:secret/otel#heads" });
    expect([code, err]).toEqual([
      1,
      "mycel coordinator: OTEL_EXPORTER_OTLP_HEADERS: vault:secret/otel#heads cannot be read: secret/otel has no field heads; there are headers\n",
    ]);
  });
});

describe("a stock agent", () => {
  const worker = (key: string): string =>
    `worker:\n  urls: [${String(coordinator.ready["url"])}]\n  id: from-the-file\n  concurrency: 3\n` +
    `  inference: { custom: { url: "http://127.0.0.1:1/v1", key: "${key}" }, model: parrot }\n` +
    `vault: { address: "${vault.url}", auth: approle, roleId: role-1, secretId: "file:secret-id" }\n`;

  test("takes its settings from the file and its key from Vault, into which it logs in by a file beside it", async () => {
    await writeFile(join(dir, "secret-id"), "secret-id-1\n", { mode: 0o600 });
    const file = await put(worker("vault:secret/mycel#model"));
    await using agent = await startProcess(WORKER, {}, ["--config", file]);
    await using client = createClient({ url: String(coordinator.ready["url"]) });
    const [found] = await Array.fromAsync(client.agents());
    expect(found).toMatchObject({
      agentId: "from-the-file",
      concurrency: 3,
      labels: { inference: "custom, parrot by default" },
    });
    expect(agent.output()).not.toContain(PASSWORD);
  });

  test("does not start without its key, and says why in one line", async () => {
    await writeFile(join(dir, "secret-id"), "another\n", { mode: 0o600 });
    const { code, err } = await run(WORKER, ["--config", await put(worker("vault:secret/mycel#model"))]);
    expect(code).toBe(1);
    expect(err).toMatch(
      /^mycel agent: worker\.inference\.custom\.key \(\S+:5:\d+\): vault:secret\/mycel#model cannot be read: .*invalid role or secret ID\n$/,
    );
    const literal = await run(WORKER, ["--config", await put(worker(PASSWORD))]);
    expect(literal).toMatchObject({
      code: 2,
      err: expect.stringContaining("must not hold the secret itself") as string,
    });
    expect(literal.err).not.toContain(PASSWORD);
  });
});
