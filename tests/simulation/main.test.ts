// The command line of the simulation, as whoever hunts a failure uses it.
import process from "node:process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type CommandResult, runCommand } from "../support/command.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const BUG = "a redelivery is taken for a first delivery";

async function simulate(...args: string[]): Promise<CommandResult> {
  return await runCommand(process.execPath, [MAIN, ...args]);
}

test("interleavings that hold are counted", async () => {
  const { code, stdout } = await simulate("--seed", "1", "--runs", "20");

  expect(stdout).toMatch(/^seed 1: 20 interleavings, [\d,]+ a second: every promise held\n$/);
  expect(code).toBe(0);
});

test("one that breaks a promise is shortened, told step by step, and can be seen again", async () => {
  const found = await simulate("--seed", "9", "--plant", BUG);
  const again = /^Again: {2}npm run simulate -- --seed 9 --path (\S+) --plant "(.+)"$/m.exec(found.stdout);
  const repeated = await simulate("--seed", "9", "--path", again?.[1] ?? "", "--plant", again?.[2] ?? "");

  expect(found.code).toBe(1);
  expect(found.stdout).toMatch(/^ +\d+ +\+\d+\.\d{3}s {2}agent \w gets|: gets t1 from/m);
  expect(found.stdout).toMatch(/^Broken: .+ \[\d: .+\]$/m);
  expect(repeated.code).toBe(1);
  expect(found.stdout).toContain(repeated.stdout);
});

test("one that holds can be looked at, too", async () => {
  const { code, stdout } = await simulate("--seed", "9", "--path", "2");

  expect(stdout).toMatch(/^Every promise held\.\n$/m);
  expect(code).toBe(0);
});

test.for([
  ["--runs 0", /^simulate: option '--runs <number>' argument '0' is invalid\. .+ from 1 to 100000000\.\n$/],
  ["--seed -1", /^simulate: option '--seed <number>' argument '-1' is invalid\. .+\n$/],
  ["--path 1:x", /^simulate: option '--path <path>' argument '1:x' is invalid\. .+\n$/],
  ["--plant nothing", /^simulate: option '--plant <bug>' argument 'nothing' is invalid\. .+\n$/],
  ["faster", /^simulate: too many arguments.+\n$/],
  ["--fast", /^simulate: unknown option '--fast'\n$/],
] as const)("%s is refused in one line", async ([args, line]) => {
  const { code, stdout, stderr } = await simulate(...args.split(" "));

  expect(stderr).toMatch(line);
  expect(stdout).toBe("");
  expect(code).toBe(2);
});
