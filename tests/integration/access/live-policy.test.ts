import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConfigError } from "../../../lib/config/config-error.ts";
import type { LogFields, Logger } from "../../../lib/core/logger.ts";
import { openLivePolicy } from "../../../services/coordinator/access/live-policy.ts";

let folder = "";
let file = "";
const lines: { readonly level: string; readonly fields: LogFields }[] = [];
const at =
  (level: string): Logger["info"] =>
  (fields: LogFields) =>
    void lines.push({ level, fields });
const logger: Logger = {
  debug: at("debug"),
  info: at("info"),
  warn: at("warn"),
  error: at("error"),
  child: () => logger,
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "policy-"));
  file = join(folder, "policy.yaml");
  lines.length = 0;
});
afterEach(() => rm(folder, { recursive: true }));

const ALICE = { kind: "token", id: "alice", claims: { org: "acme", perms: "reader agent a.b" } } as const;

test("without a file there are the built-in roles, and nobody is bound to any", async () => {
  using policy = await openLivePolicy({ logger });
  expect(policy.bindingOf(ALICE)).toEqual({ tenant: "default", roles: [] });
  expect(policy.grantsOf(["reader", "nonsense", "reader"])).toHaveLength(1);
  expect(policy.grantsOf(["reader"])).toBe(policy.grantsOf(["reader"]));
  expect(policy.grantsOf([])).toEqual([]);
});

test("the first binding that matches counts, then the claims that the policy names, for tokens alone", async () => {
  await writeFile(
    file,
    `bindings:
  - { principal: "token:al*", tenant: first, roles: [reader] }
  - { principal: "token:alice", tenant: second, roles: [admin] }
  - { principal: "certificate:*", tenant: machines, roles: [agent] }
claims: { tenant: org, roles: perms }
`,
  );
  using policy = await openLivePolicy({ file, logger });
  expect(policy.bindingOf(ALICE)).toMatchObject({ tenant: "first", roles: ["reader"] });
  expect(policy.bindingOf({ kind: "certificate", id: "alice" })).toMatchObject({
    tenant: "machines",
    roles: ["agent"],
  });
  const bob = { ...ALICE, id: "bob" };
  expect(policy.bindingOf(bob)).toEqual({ tenant: "acme", roles: ["reader", "agent"] });
  expect(policy.bindingOf({ ...bob, claims: { org: "acme", perms: ["admin", 7] } })).toEqual({
    tenant: "acme",
    roles: ["admin"],
  });
  const nobody = { tenant: "default", roles: [] };
  expect(policy.bindingOf({ ...bob, claims: { perms: "admin" } })).toEqual(nobody);
  expect(policy.bindingOf({ ...bob, claims: { org: "a.>", perms: "admin" } })).toEqual(nobody);
  expect(policy.bindingOf({ ...bob, kind: "key" })).toEqual(nobody);
});

test.for(["written", "replaced"])("a file that is %s counts at once, and whoever listens hears of it", async (how) => {
  await writeFile(file, "roles: { team: { actions: [task:read] } }");
  using policy = await openLivePolicy({ file, logger, lookMs: 60_000 });
  const before = policy.grantsOf(["team"]);
  const changed = new Promise<void>((resolve) => policy.onChange(resolve));
  await put("roles: { team: { actions: [task:cancel] } }", how);
  await changed;
  expect(policy.grantsOf(["team"])[0]?.actions).toEqual(new Set(["task:cancel"]));
  expect(before[0]?.actions).toEqual(new Set(["task:read"]));
});

test("a file of which no word comes is looked at now and then", async () => {
  await writeFile(file, "{}");
  using policy = await openLivePolicy({ file, logger, lookMs: 10 });
  const changed = new Promise<void>((resolve) => policy.onChange(resolve));
  await writeFile(file, "roles: { team: { actions: [task:cancel] } }");
  await changed;
});

test("a new version that can't be read leaves the old one in force, and says so once", async () => {
  await writeFile(file, "roles: { team: { actions: [task:read] } }");
  using policy = await openLivePolicy({ file, logger, lookMs: 10 });
  await put("roles: { team: { actions: [task:reed] } }", "replaced");
  const told = () => lines.filter(({ level }) => level === "error");
  await expect.poll(told).toHaveLength(1);
  expect(told()[0]?.fields).toMatchObject({
    mistake: `${file}:1:28: roles.team.actions[0] "task:reed" is no action; did you mean task:read?`,
  });
  expect(policy.grantsOf(["team"])[0]?.actions).toEqual(new Set(["task:read"]));
  await rm(file);
  await expect.poll(told).toHaveLength(2);
  expect(policy.grantsOf(["team"])[0]?.actions).toEqual(new Set(["task:read"]));
  const changed = new Promise<void>((resolve) => policy.onChange(resolve));
  await put("roles: { team: { actions: [task:cancel] } }", "replaced");
  await changed;
  expect(policy.grantsOf(["team"])[0]?.actions).toEqual(new Set(["task:cancel"]));
  expect(told()).toHaveLength(2);
});

test("a mesh does not start with a policy that can't be read", async () => {
  await expect(openLivePolicy({ file, logger })).rejects.toThrow(ConfigError);
  await writeFile(file, Buffer.from([0xff, 0xfe]));
  await expect(openLivePolicy({ file, logger })).rejects.toThrow(`${file} can't be read`);
  await writeFile(file, " ".repeat(1024 * 1024 + 1));
  await expect(openLivePolicy({ file, logger })).rejects.toThrow("must have 1048576 bytes at most");
});

async function put(text: string, how: string): Promise<void> {
  if (how === "written") return await writeFile(file, text);
  await writeFile(join(folder, "new"), text);
  await rename(join(folder, "new"), file);
}
