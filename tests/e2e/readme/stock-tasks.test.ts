// The README's table of the stock agent's tasks: every task stands in it, and every line works as it stands.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { openStockMesh, type StockMesh } from "../../support/stock-mesh.ts";
import { openWebServer, type WebServer } from "../../support/web-server.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const run = promisify(execFile);

interface Row {
  readonly type: string;
  readonly command: string;
}

/** The rows of the table: a task type, what it does, a line to paste. */
const ROWS: readonly Row[] = Array.from(
  readFileSync(resolve(ROOT, "README.md"), "utf8").matchAll(/^\| `([\w-]+)` \|.*\| `(npx mycel submit .+)` \|$/gm),
  ([, type = "", command = ""]) => ({ type, command }),
);

let stock: StockMesh;
let web: WebServer;
let parrot: ChildProcess;
let bin: string;

beforeAll(async () => {
  web = await openWebServer((_, response) => response.end("hello"));
  parrot = spawn(process.execPath, ["examples/parrot-model.ts"], { cwd: ROOT, env: { ...process.env, PORT: "0" } });
  const [said] = (await once(parrot.stdout!, "data")) as [Buffer];
  stock = await openStockMesh({
    agentEnv: {
      MYCEL_ALLOWED_ROOTS: ROOT,
      MYCEL_OUTBOUND_ALLOW: "127.0.0.1",
      MYCEL_INFERENCE_URL: said.toString().replace("listening at ", "").trim(),
      MYCEL_INFERENCE_MODEL: "parrot",
    },
  });
  // What npx would find in a checkout, without asking a registry for anything.
  bin = await mkdtemp(join(tmpdir(), "mycel-readme-"));
  await writeFile(join(bin, "npx"), `#!/bin/sh\nshift\nexec "${process.execPath}" "${ROOT}/cli/main.ts" "$@"\n`);
  await chmod(join(bin, "npx"), 0o755);
});

afterAll(async () => {
  await stock[Symbol.asyncDispose]();
  await web[Symbol.asyncDispose]();
  parrot.kill();
  await rm(bin, { recursive: true, force: true });
});

test.for(ROWS)("the line of $type works when it is pasted", async ({ type, command }) => {
  const env = { ...process.env, MYCEL_URL: stock.url, PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}` };
  // No test leaves the machine.
  const line = command.replaceAll("https://example.com", web.url);
  expect(line).toContain(` submit ${type} `);
  // It exits with 1 when the task fails.
  const { stdout, stderr } = await run("sh", ["-c", line], { cwd: ROOT, env });
  expect(stdout.trim()).not.toBe("");
  expect(stderr).toBe("");
});

test("every task of the stock agent stands in the table and has a section in docs/tasks.md", async () => {
  await using client = createClient({ url: stock.url });
  const [agent] = await Array.fromAsync(client.agents());
  const types = agent!.capabilities.map((capability) => capability.type);
  expect(ROWS.map(({ type }) => type)).toEqual(expect.arrayContaining(types));
  const sections = Array.from(
    readFileSync(resolve(ROOT, "docs/tasks.md"), "utf8").matchAll(/^## (.+)$/gm),
    ([, name]) => name,
  );
  expect(sections).toEqual(expect.arrayContaining(types));
});
