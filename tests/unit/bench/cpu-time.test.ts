import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { expect, test } from "vitest";
import { cpuTimes, cpuUsed } from "../../../bench/support/cpu-time.ts";

/** A shell whose child, not itself, burns processor time and then says so. */
const BURN = `"$0" -e 'while (process.cpuUsage().user < 120_000); console.log("burnt"); process.stdin.resume()'; true`;

test.runIf(process.platform === "linux")("a process's time includes that of its children", async () => {
  const shell = spawn("sh", ["-c", BURN, process.execPath], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(shell, "exit");
  try {
    await once(shell.stdout, "data");
    const { store = 0 } = await cpuTimes({ store: shell.pid ?? 0 });
    expect(store).toBeGreaterThanOrEqual(100);
  } finally {
    shell.stdin.end();
    shell.kill();
    await exited;
  }
});

test("a process that is gone has no time", async () => {
  expect(await cpuTimes({ worker: 2 ** 30 })).toEqual({});
});

test("what was used is the difference of two readings, and nothing for whoever came between them", () => {
  expect(cpuUsed({ client: 10 }, { client: 25, worker: 90 })).toEqual({ client: 15, worker: 0 });
});
