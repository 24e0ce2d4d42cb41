// `mycel keys` and `mycel token` as a real process prints them, against a real coordinator.
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { runCli } from "../../support/cli.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

let mesh: TestMesh;
let url: string;
beforeAll(async () => {
  mesh = await openMesh();
  url = mesh.urls[0]!;
});
afterAll(() => mesh[Symbol.asyncDispose]());

const run = (...args: string[]): ReturnType<typeof runCli> => runCli(url, args);
const facts = (stdout: string): Record<string, string> =>
  Object.fromEntries(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.trim().split(/ {2,}/) as [string, string]),
  );

test("a key is created, listed and revoked, and its secret is shown once", async () => {
  const made = await run(
    "keys",
    "create",
    "--role",
    "submitter",
    "--role",
    "reader",
    "--description",
    "nightly",
    "--lifetime",
    "90d",
  );
  expect({ code: made.code, stderr: made.stderr }).toEqual({ code: 0, stderr: "" });
  const { key = "", secret, ...rest } = facts(made.stdout);
  expect(secret).toMatch(new RegExp(`^mk_${key}_[\\w-]{43}$`));
  expect(rest).toMatchObject({ tenant: "default", roles: "submitter,reader", description: "nightly" });
  const listed = await run("keys", "list");
  const line = listed.stdout.split("\n").find((each) => each.startsWith(key));
  expect(line).toMatch(/^[0-9a-f]{16} {2}submitter,reader {2}valid {2}/);
  expect(listed.stdout).not.toContain(secret);
  const revoked = await run("keys", "revoke", key);
  expect(facts(revoked.stdout)).toMatchObject({ key, state: "revoked" });
  expect(await run("keys", "list")).toMatchObject({ code: 0, stdout: "", stderr: "no keys\n" });
  const all = JSON.parse((await run("keys", "list", "--all", "--json")).stdout) as { keys: object[] };
  expect(all.keys).toMatchObject([{ keyId: key, roles: ["submitter", "reader"] }]);
});

test("where nobody has to show who it is, keys of any tenant can be made", async () => {
  const made = await run("keys", "create", "--role", "admin", "--tenant", "acme", "--json");
  expect(JSON.parse(made.stdout)).toMatchObject({ key: { tenant: "acme" }, secret: expect.stringMatching(/^mk_/) });
  expect((await run("keys", "list")).stderr).toBe("no keys\n");
  expect((await run("keys", "list", "--tenant", "acme")).stdout).toContain("admin");
});

test("a token is issued for a task or a label, and is all that is printed", async () => {
  const agents = createClient(AgentService, createGrpcTransport({ baseUrl: url }));
  await agents.submitTask({ type: "t", taskId: "followed" });
  const { code, stdout, stderr } = await run("token", "issue", "followed", "--lifetime", "1h");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^mst_[\w-]+\.[\w-]+\.[\w-]+\n$/);
  const { exp = 0, iat = 0, task } = decodeJwt(stdout.trim().slice("mst_".length));
  expect([exp - iat, task]).toEqual([3_600, "followed"]);
  const group = JSON.parse((await run("token", "issue", "--label", "run=7", "--json")).stdout) as { token: string };
  expect(decodeJwt(group.token.slice("mst_".length))["rules"]).toEqual([{ types: ["*"], labels: [["run", "7"]] }]);
});

test.for<[string, readonly string[], string]>([
  ["a role that there is not", ["keys", "create", "--role", "nobody"], 'the policy has no role "nobody"'],
  ["no role", ["keys", "create"], "--role"],
  ["a key that there is not", ["keys", "revoke", "0123456789abcdef"], 'no key "0123456789abcdef"'],
  ["a task that there is not", ["token", "issue", "nothing"], 'no task "nothing"'],
  ["neither a task nor a label", ["token", "issue"], "name the task that the token is for, or one label with --label"],
  ["both", ["token", "issue", "x", "--label", "a=b"], "name the task that the token is for, or one label with --label"],
  ["two labels", ["token", "issue", "--label", "a=b", "--label", "c=d"], "or one label"],
  ["a life that is too long", ["token", "issue", "x", "--lifetime", "2d"], "lifetime"],
])("%s is told in a line", async ([, args, told]) => {
  const { code, stdout, stderr } = await run(...args);
  expect({ failed: code !== 0, stdout }).toEqual({ failed: true, stdout: "" });
  expect(stderr).toContain(told);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
});
