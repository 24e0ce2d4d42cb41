// The benchmark works: it runs on real processes and shows every number. How large they are is no test's business.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { OTHERS } from "../../bench/contenders/all.ts";
import type { BenchReport } from "../../bench/report/report.ts";
import { TARGETS } from "../../bench/report/targets.ts";
import { SCENARIOS } from "../../bench/scenarios/all.ts";
import { natsServerBinary } from "../support/nats.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const run = promisify(execFile);

const ROWS = [
  "second bulk",
  "second bulk-16k",
  "second stream",
  "second submit-1",
  "second submit-16",
  "second submit-256",
  "second complete-1",
  "second complete-16",
  "second complete-256",
  "second idle.p50",
  "second idle.p99",
  "second idle.p99.9",
  "second half-load.p50",
  "second half-load.p99",
  "second half-load.p99.9",
  "second empty-1",
  "second empty-16",
  "second empty-256",
  "second served-empty-16",
  "second served-empty-256",
  "second served-submit-16",
  "second served-submit-256",
];

/** A workflow takes it 20 ms of processor time; it has a test of its own. */
const TOO_SLOW = "temporal";

async function bench(...args: string[]): Promise<{ readonly stdout: string }> {
  const env = { ...process.env, NATS_SERVER_BIN: await natsServerBinary() };
  return await run(process.execPath, ["bench/main.ts", ...args], { cwd: ROOT, env });
}

async function quickReport(...args: string[]): Promise<{ readonly stdout: string; readonly report: BenchReport }> {
  const dir = await mkdtemp(join(tmpdir(), "mycel-bench-smoke-"));
  try {
    const json = join(dir, "bench.json");
    const { stdout } = await bench("--quick", "--json", json, ...args);
    return { stdout, report: JSON.parse(await readFile(json, "utf8")) as BenchReport };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test(
  "a quick benchmark measures every row, on every contender that the machine has, and prints it",
  { timeout: 240_000 },
  async () => {
    const scenarios = SCENARIOS.map(({ id }) => id).join(",");
    const others = OTHERS.map(({ id }) => id).filter((id) => id !== TOO_SLOW);
    const { stdout, report } = await quickReport(
      "--only",
      scenarios,
      "--with",
      others.join(","),
      "--durability",
      "second",
    );
    const { rows, environment, titles, absent } = report;
    expect(rows.map(({ id, durability }) => `${durability} ${id}`)).toEqual(ROWS);
    for (const { id, title, cells, refusals } of rows) {
      expect(stdout, id).toContain(title);
      // A machine that is busy enough does not carry the load.
      if (!id.startsWith("half-load")) expect(refusals, id).toEqual({});
      if (refusals["mesh"] === undefined) expect(cells["mesh"]?.value, id).toBeGreaterThan(0);
      // There is no RPC on the floor.
      if (id.startsWith("served") || refusals["floor"] !== undefined) continue;
      expect(cells["floor"]?.value, id).toBeGreaterThan(0);
    }
    for (const id of others) {
      const reason = absent[`second ${id}`];
      if (reason === undefined) expect(Object.keys(titles.second ?? {})).toContain(id);
      else expect(stdout).toContain(`second ${id} left out: ${reason}`);
    }
    expect(stdout).toContain(`nats-server ${environment.natsServer}`);
    expect(stdout).toContain(`${environment.cores} cores`);
    for (const { comparison } of TARGETS) expect(stdout).toContain(comparison);
  },
);

test(
  "the other durability is measured on a broker that syncs before it acknowledges",
  { timeout: 240_000 },
  async () => {
    const { stdout, report } = await quickReport("--only", "bulk", "--with", "floor", "--durability", "always");
    expect(report.rows).toHaveLength(1);
    expect(report.rows[0]?.cells["floor"]?.ratio?.median).toBeGreaterThan(0);
    expect(stdout).toContain("R1, sync_interval always");
  },
);

test("a mistake in the options is one line", async () => {
  const failed = (await bench("--fast").catch((error: unknown) => error)) as { code: number; stderr: string };
  expect(failed.code).toBe(2);
  expect(failed.stderr).toBe("bench: unknown option '--fast'\n");
});
