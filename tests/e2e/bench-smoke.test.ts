// The benchmark works: it runs on real processes and shows every number. How large they are is no test's business.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { natsServerBinary } from "../support/nats.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const run = promisify(execFile);

const ROWS = [
  "bulk",
  "stream",
  "submit-1",
  "submit-16",
  "submit-256",
  "complete-1",
  "complete-16",
  "complete-256",
  "idle.p50",
  "idle.p99",
  "idle.p99.9",
  "half-load.p50",
  "half-load.p99",
  "half-load.p99.9",
  "empty-1",
  "empty-16",
  "empty-256",
];

interface Report {
  readonly environment: { readonly natsServer: string; readonly cores: number };
  readonly rows: readonly { readonly id: string; readonly title: string; readonly [number: string]: unknown }[];
}

async function bench(...args: string[]): Promise<{ readonly stdout: string }> {
  const env = { ...process.env, NATS_SERVER_BIN: await natsServerBinary() };
  return await run(process.execPath, ["bench/main.ts", ...args], { cwd: ROOT, env });
}

test("a quick benchmark measures every row on both sides and prints it", { timeout: 180_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), "mycel-bench-smoke-"));
  try {
    const json = join(dir, "bench.json");
    const { stdout } = await bench("--quick", "--json", json);
    const { rows, environment } = JSON.parse(await readFile(json, "utf8")) as Report;
    expect(rows.map(({ id }) => id)).toEqual(ROWS);
    for (const { id, title, mesh, floor, ratio } of rows) {
      expect(stdout, id).toContain(title);
      for (const number of [mesh, floor, ratio]) expect(number, id).toBeGreaterThan(0);
    }
    expect(stdout).toContain(`nats-server ${environment.natsServer}`);
    expect(stdout).toContain(`${environment.cores} cores`);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test.for([
  [
    ["--tasks", "99"],
    "bench: option '--tasks <n>' argument '99' is invalid. Write a whole number from 100 to 1000000.",
  ],
  [["--only", "bulk,nothing"], "argument 'bulk,nothing' is invalid. Choose from bulk, stream,"],
  [["--fast"], "bench: unknown option '--fast'"],
] as const)("a mistake in the options is one line: %s", async ([args, line]) => {
  const failed = (await bench(...args).catch((error: unknown) => error)) as { code: number; stderr: string };
  expect(failed.code).toBe(2);
  expect(failed.stderr).toContain(line);
  expect(failed.stderr.trim().split("\n")).toHaveLength(1);
});
