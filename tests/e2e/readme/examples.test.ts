// The README's first agent and first client are the files in examples/: they run as they stand, and the README shows them as they are.

import { execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { openMesh } from "../../support/processes.ts";
import { agentClient } from "../../support/task-calls.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const run = promisify(execFile);

test("the first client gets what the first agent streams and returns", async () => {
  await using mesh = await openMesh();
  const env = { ...process.env, MYCEL_URL: mesh.urls[0]! };
  const agent = spawn(process.execPath, ["examples/first-agent.ts"], { cwd: ROOT, env, stdio: "ignore" });
  const gone = new Promise((done) => agent.once("exit", done));
  const client = agentClient(mesh.urls[0]!);
  for await (const { agent: seen } of client.watchAgents({ type: "count-words" })) if (seen !== undefined) break;

  const { stdout } = await run(process.execPath, ["examples/first-client.ts"], { cwd: ROOT, env });

  expect(stdout).toBe("so far: { line: 1, words: 2 }\nso far: { line: 2, words: 6 }\nwords: 6\n");
  agent.kill("SIGTERM");
  expect(await gone).toBe(0);
});

test.for(["first-agent.ts", "first-client.ts"])("the README shows examples/%s, in at most 20 lines of code", (name) => {
  const source = readFileSync(resolve(ROOT, "examples", name), "utf8");
  const code = source.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("//"));
  expect(code.length).toBeLessThanOrEqual(20);
  expect(readFileSync(resolve(ROOT, "README.md"), "utf8")).toContain(source.trim());
});
