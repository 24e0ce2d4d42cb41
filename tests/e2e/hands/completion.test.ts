// Completion as shells do it: the script that is printed, in a real bash, against a real mesh.
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import { outputOf } from "../../support/command.ts";
import { openStockMesh, type StockMesh } from "../../support/stock-mesh.ts";

const MAIN = resolve(import.meta.dirname, "../../../cli/main.ts");

let stock: StockMesh;
let client: MycelClient;
let bin: string;

beforeAll(async () => {
  stock = await openStockMesh();
  client = createClient({ url: stock.url });
  bin = await mkdtemp(join(tmpdir(), "mycel-bin-"));
  await writeFile(join(bin, "mycel"), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
  await chmod(join(bin, "mycel"), 0o755);
  await writeFile(join(bin, "script"), await outputOf(join(bin, "mycel"), ["completion", "bash"]));
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await stock[Symbol.asyncDispose]();
  await rm(bin, { recursive: true, force: true });
});

async function bash(script: string): Promise<string> {
  const env = { PATH: `${bin}${delimiter}${process.env["PATH"]}`, MYCEL_URL: stock.url };
  return await outputOf("bash", ["--norc", "-c", `set -eu; source '${bin}/script'\n${script}`], { env });
}

/** What bash offers at the end of a line, taken apart into words as bash does it. */
async function offered(...words: string[]): Promise<string[]> {
  const quoted = ["mycel", ...words].map((word) => `'${word}'`).join(" ");
  const lines = await bash(
    `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _mycel; for one in "\${COMPREPLY[@]}"; do echo "$one"; done`,
  );
  return lines.split("\n").filter((line) => line !== "");
}

test("bash knows how the command is completed, and files where nothing else is known", async () => {
  expect(await bash("complete -p mycel")).toBe("complete -o default -F _mycel mycel\n");
  expect(await offered("blob", "put", "")).toEqual([]);
});

test("commands, options and their values are offered, also where bash takes a word apart", async () => {
  expect(await offered("queue", "p")).toEqual(["pause", "purge"]);
  expect(await offered("submit", "--priority", "=", "h")).toEqual(["high"]);
  expect(await offered("submit", "--priority", "=")).toEqual(["low", "normal", "high", "critical"]);
});

test("tasks, types, queues and agents are offered by their names in the mesh, each command those that it can use", async () => {
  const { taskId: open } = await client.submit("nobody-can", 1);
  const { taskId: done } = await client.submit("echo", { message: "x" });
  await client.result(done);
  await expect.poll(async () => (await client.count()).total).toBe(2);
  expect((await offered("get", "")).sort()).toEqual([open, done].sort());
  expect(await offered("cancel", "")).toEqual([open]);
  expect(await offered("submit", "ech")).toEqual(["echo"]);
  expect(await offered("queue", "show", "nobody")).toEqual(["nobody-can"]);
  const [agent] = await Array.fromAsync(client.agents());
  expect(await offered("list", "--agent", "")).toEqual([agent!.agentId]);
});

test("a mesh that is away offers nothing, and says nothing", async () => {
  expect(await offered("--url", "http://127.0.0.1:9", "get", "")).toEqual([]);
});
