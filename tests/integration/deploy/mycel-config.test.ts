// What deploy/ has for coordinators and agents, as it stands there, is right. That a mesh starts from it, whole-mesh.long.test.ts tells.
import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { readConfigFile, readConfigText } from "../../../lib/config/config-file.ts";
import { ALL_KEYS } from "../../../lib/config/keys/tables.ts";
import { mistakesIn } from "../../../lib/config/settings.ts";
import { readPolicy } from "../../../services/coordinator/access/policy-document.ts";

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

test("so is the policy beside it", () => {
  expect(readPolicy("policy.yaml", readFileSync(join(DEPLOY, "policy.yaml"), "utf8")).bindings).toHaveLength(2);
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
