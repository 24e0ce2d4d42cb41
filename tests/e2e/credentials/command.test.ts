// The command shows who it is by a key or a token, on a mesh where everybody has to.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CliResult, runCli } from "../../support/cli.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

const OPERATOR_KEY = `mk_operator_${"c".repeat(40)}`;

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await openMesh({ env: { MYCEL_ADMIN_KEY: OPERATOR_KEY } });
});
afterAll(() => mesh[Symbol.asyncDispose]());

const run = (env: Readonly<Record<string, string>>, ...args: string[]): Promise<CliResult> =>
  runCli(mesh.urls[0]!, args, { env });
const asOperator = { MYCEL_API_KEY: OPERATOR_KEY };

test("the operator's key makes the first one of a tenant, which then does what its role allows", async () => {
  const made = await run(asOperator, "keys", "create", "--role", "submitter", "--tenant", "acme", "--json");
  expect({ code: made.code, stderr: made.stderr }).toEqual({ code: 0, stderr: "" });
  const { key, secret } = JSON.parse(made.stdout) as { key: { keyId: string }; secret: string };
  const submitted = await run({ MYCEL_API_KEY: secret }, "submit", "t", "{}");
  expect(submitted).toMatchObject({ code: 0 });
  const refused = await run({ MYCEL_API_KEY: secret }, "keys", "list");
  expect(refused).toMatchObject({ stdout: "", stderr: "mycel: this caller may not do this: it needs key:admin\n" });
  expect(refused.code).not.toBe(0);
  expect(await run(asOperator, "keys", "revoke", key.keyId, "--tenant", "acme")).toMatchObject({ code: 0 });
  const revoked = await run({ MYCEL_API_KEY: secret }, "submit", "t", "{}");
  expect(revoked).toMatchObject({ stdout: "", stderr: "mycel: the credential is not valid\n" });
});

test("a stream token shows its task to the command, and nothing else", async () => {
  const submitted = await run(asOperator, "submit", "t", "{}");
  const taskId = submitted.stdout.trim();
  const issued = await run(asOperator, "token", "issue", taskId);
  const token = { MYCEL_TOKEN: issued.stdout.trim() };
  expect(await run(token, "status", taskId)).toMatchObject({ code: 0, stdout: expect.stringContaining("submitted") });
  const listed = await run(token, "agents");
  expect(listed).toMatchObject({ stdout: "", stderr: "mycel: this caller may not do this: it needs agent:read\n" });
});

test("without a credential, a line says what is missing", async () => {
  expect(await run({}, "list")).toMatchObject({ stdout: "", stderr: "mycel: this call needs a credential\n" });
});
