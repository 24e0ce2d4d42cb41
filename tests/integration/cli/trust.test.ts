// `mycel trust` as a process: what it makes, and how it says what it does not.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCli } from "../../support/cli.ts";

const NOWHERE = "http://127.0.0.1:1";

test("trust init says what it made and shows no secret, and makes nothing twice", async () => {
  await using stack = new AsyncDisposableStack();
  const parent = stack.adopt(await mkdtemp(join(tmpdir(), "mycel-cli-trust-")), (path) =>
    rm(path, { recursive: true }),
  );
  const dir = join(parent, "trust");
  const made = await runCli(NOWHERE, ["trust", "init", dir]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  for (const part of ["nats/trust.conf", "coordinator", "people/admin.creds", "root"]) {
    expect(made.stdout).toContain(`${join(dir, part)}  `);
  }
  expect(made.stdout).not.toMatch(/S[UAO][A-Z2-7]{40}|eyJ/);
  expect(await readdir(parent)).toEqual(["trust"]);
  expect(await runCli(NOWHERE, ["trust", "init", dir])).toEqual({
    code: 2,
    stdout: "",
    stderr: `mycel: ${dir} is there already: trust is made once, in a new folder\n`,
  });
});

test("trust renew makes a folder beside the old one and says how to put it to use, once", async () => {
  await using stack = new AsyncDisposableStack();
  const parent = stack.adopt(await mkdtemp(join(tmpdir(), "mycel-cli-trust-")), (path) =>
    rm(path, { recursive: true }),
  );
  const dir = join(parent, "trust");
  await runCli(NOWHERE, ["trust", "init", dir]);
  const renewed = await runCli(NOWHERE, ["trust", "renew", dir]);
  expect(renewed).toMatchObject({ code: 0, stderr: "" });
  expect(renewed.stdout).toMatch(/1\. .*trust\.new\/coordinator\n2\. .*trust\.new\/nats\/trust\.conf, .*\n3\. /);
  expect(renewed.stdout).not.toMatch(/S[UAO][A-Z2-7]{40}|eyJ/);
  expect(await runCli(NOWHERE, ["trust", "renew", dir])).toMatchObject({
    code: 2,
    stderr: `mycel: ${dir}.new is there already: put it to use, or remove it\n`,
  });
  expect(await runCli(NOWHERE, ["trust", "renew", join(dir, "nats")])).toMatchObject({
    code: 2,
    stderr: `mycel: ${join(dir, "nats/root/operator.nk")} can't be read (ENOENT): is this a folder that "mycel trust init" made?\n`,
  });
});

test("trust init where no folder can be made is one clear line", async () => {
  const { code, stdout, stderr } = await runCli(NOWHERE, ["trust", "init", join(import.meta.filename, "trust")]);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(/^mycel: E[A-Z]+: .*\n$/);
});
