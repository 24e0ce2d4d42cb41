// deploy/mycel.yaml, as it stands there: it is right, and a mesh starts from it, with nothing but addresses of this machine given otherwise.
import { globSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { readConfigFile, readConfigText } from "../../../lib/config/config-file.ts";
import { ALL_KEYS } from "../../../lib/config/keys/tables.ts";
import { mistakesIn } from "../../../lib/config/settings.ts";
import { createClient } from "../../../sdk/client/index.ts";
import { openTestNats } from "../../support/nats.ts";
import { testTrust } from "../../support/trust.ts";
import { startProcess } from "../../support/processes.ts";

const DEPLOY = resolve(import.meta.dirname, "../../../deploy");
const FILE = join(DEPLOY, "mycel.yaml");

test("the configuration is right", async () => {
  const read = await readConfigFile(FILE, ALL_KEYS);
  expect(mistakesIn(read, ALL_KEYS)).toEqual([]);
  expect(read.values.size).toBeGreaterThan(5);
});

test("what is commented out in it is right too", () => {
  const text = readFileSync(FILE, "utf8").replaceAll(/^# ?(?=\s*[a-zA-Z]+:(?:$| ))/gm, "");

  const read = readConfigText({ file: "mycel.yaml", text, folder: "/etc/mycel", keys: ALL_KEYS });
  expect(mistakesIn(read, ALL_KEYS)).toEqual([]);
  expect([...read.values.keys()]).toContain("vault.secretId");
});

test("a coordinator and an agent start from it and do a task", { timeout: 60_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), "deploy-")), (path) => rm(path, { recursive: true }));
  const trust = await testTrust();
  const nats = stack.use(await openTestNats({ trust }));
  const here = {
    NATS_URL: nats.url,
    MYCEL_NATS_TRUST: trust.coordinatorDir,
    MYCEL_AGENT_NATS_URL: nats.url,
    MYCEL_REPLICAS: "1",
    MYCEL_LISTEN: "127.0.0.1:0",
    MYCEL_DATA_DIR: dir,
  };
  const coordinator = stack.use(await startProcess("services/coordinator/main.ts", here, ["--config", FILE]));
  const url = String(coordinator.ready["url"]);
  stack.use(await startProcess("services/worker/main.ts", { MYCEL_URL: url }, ["--config", FILE]));
  const client = stack.use(createClient({ url }));
  expect(await client.run("echo", { message: "from deploy" }).result()).toMatchObject({ message: "from deploy" });
});

test("the units of systemd start what is there, with the file, and do not start again what is configured wrongly", () => {
  const units = globSync("systemd/*.service", { cwd: DEPLOY });
  expect(units).toHaveLength(2);
  for (const unit of units) {
    const text = readFileSync(join(DEPLOY, unit), "utf8");
    const [, entry = "", config] = /^ExecStart=\S+\/node \/opt\/mycel\/(\S+) --config (\S+)$/m.exec(text) ?? [];
    expect(globSync(entry, { cwd: resolve(DEPLOY, "..") })).toEqual([entry]);
    expect(config).toBe("/etc/mycel/mycel.yaml");
    expect(text).toMatch(/^RestartPreventExitStatus=2$/m);
  }
});
