// The bootstrap stands in for the program that it starts: exit code, signals, and no orphan.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";

import { isAlive } from "../../../lib/nats/server/process-identity.ts";

const LAUNCH = new URL("../../../cli/setup/launch.mjs", import.meta.url).href;

/** Starts the launcher with a program that says its process id once it is set up. */
function openLauncher(program: string) {
  const script = `
    import { launch } from ${JSON.stringify(LAUNCH)};
    await launch(process.execPath, ["--eval", ${JSON.stringify(`${program};console.log(process.pid)`)}], process.env);
  `;
  const launcher = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines = createInterface(launcher.stdout)[Symbol.asyncIterator]();
  return {
    launcher,
    exit: once(launcher, "exit"),
    next: async (): Promise<string | undefined> => (await lines.next()).value,
  };
}

const COUNT_TERMS = `
  let terms = 0;
  process.on("SIGTERM", () => { terms += 1; setTimeout(() => { console.log("terms " + terms); process.exit(7); }, 500); });
  setInterval(() => {}, 1000);
`;

test("the program's exit code is the launcher's", async () => {
  const { exit } = openLauncher("process.exit(42)");
  expect(await exit).toEqual([42, null]);
});

test("a program ended by a signal ends the launcher by the same signal", async () => {
  const { exit } = openLauncher('process.kill(process.pid, "SIGTERM"); setInterval(() => {}, 1000);');
  expect(await exit).toEqual([null, "SIGTERM"]);
});

test("a signal sent twice at once, as npm and its group do, reaches the program once", async () => {
  const { launcher, exit, next } = openLauncher(COUNT_TERMS);
  await next();
  launcher.kill("SIGTERM");
  launcher.kill("SIGTERM");
  expect(await next()).toBe("terms 1");
  expect(await exit).toEqual([7, null]);
});

test("a program whose launcher was killed with -9 is told to end", async () => {
  const { launcher, exit, next } = openLauncher(COUNT_TERMS);
  const pid = Number(await next());
  expect(await isAlive(pid)).toBe(true);
  launcher.kill("SIGKILL");
  await exit;
  expect(await next()).toBe("terms 1");
  await expect.poll(async () => await isAlive(pid)).toBe(false);
});
