// Temporal does in the benchmark what ours does, where its dev server has been built.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, type TestContext, test, vi } from "vitest";
import { lackingTemporal } from "../../../bench/contenders/temporal/binaries.ts";
import { TEMPORAL } from "../../../bench/contenders/temporal/temporal.ts";
import { inFlight } from "../../../bench/support/in-flight.ts";

const INPUT_BYTES = 200;
const environment = { ...process.env };

async function built(context: TestContext): Promise<void> {
  const lacks = await TEMPORAL.lacking();
  if (lacks !== undefined) context.skip(`temporal left out: ${lacks}`);
}

test("a dev server that has not been built is said in one line, with what builds it", async () => {
  expect(await lackingTemporal("/nowhere")).toMatch(
    /^(its dev server is not built|no Go toolchain).*; .*npm run bench:temporal[^\n]*$/,
  );
});

test.for(["second", "always"] as const)("works off what is submitted, durability %s", async (durability, context) => {
  await built(context);
  await using contender = await TEMPORAL.open({ environment, durability });
  const served = contender.track("served");
  await contender.submitOne?.("parked-0", "parked", INPUT_BYTES);
  await inFlight(10, 10, async (i) => contender.submitOne?.(`served-${i}`, "served", INPUT_BYTES));
  expect(await contender.runOne?.("served-10", INPUT_BYTES)).toBeGreaterThan(0);
  await served.reach(11);
  // The parked one is not waited for.
  await contender.settle();
  process.kill(contender.pids["worker"]!, "SIGKILL");
  await expect(contender.failed).rejects.toThrow("Temporal's worker ended with SIGKILL");
});

test("a task is submitted once only", async (context) => {
  await built(context);
  await using contender = await TEMPORAL.open({ environment, durability: "second" });
  await contender.submitOne?.("once-0", "parked", INPUT_BYTES);
  await expect(contender.submitOne?.("once-0", "parked", INPUT_BYTES)).rejects.toThrow("already");
});

test("nothing is left behind", async (context) => {
  await built(context);
  const dir = await mkdtemp(join(tmpdir(), "mycel-bench-temporal-"));
  vi.stubEnv("TMPDIR", dir);
  try {
    const contender = await TEMPORAL.open({ environment, durability: "second" });
    expect(await readdir(dir)).toHaveLength(1);
    const pids = [contender.pids["server"]!, contender.pids["worker"]!];
    await contender[Symbol.asyncDispose]();
    expect(await readdir(dir)).toEqual([]);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  } finally {
    vi.unstubAllEnvs();
    await rm(dir, { recursive: true, force: true });
  }
});
