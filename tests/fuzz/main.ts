// Runs the fuzzing tests for longer, or a failing run again: npm run fuzz -- --runs 20 --seed 42
import { spawnSync } from "node:child_process";
import process from "node:process";
import { parseArgs } from "node:util";

/** A short run's tests end within a minute. */
const SHORT_TIMEOUT_MS = 60_000;

function main(): number {
  const options = { runs: { type: "string", default: "10" }, seed: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const runs = wholeNumber("--runs", values.runs, 1);
  const seed = wholeNumber("--seed", values.seed ?? String(Math.trunc(Math.random() * 2 ** 31)), 0);
  process.stdout.write(`fuzzing with --runs ${runs} --seed ${seed}\n`);
  const files = positionals.length === 0 ? ["tests/fuzz"] : positionals;
  const { status } = spawnSync("vitest", ["run", `--testTimeout=${SHORT_TIMEOUT_MS * runs}`, ...files], {
    env: { ...process.env, FUZZ_RUNS: String(runs), FUZZ_SEED: String(seed) },
    stdio: "inherit",
  });
  if (status !== 0) process.stdout.write(`repeat with: npm run fuzz -- --runs ${runs} --seed ${seed}\n`);
  return status ?? 1;
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new RangeError(`${name} must be a whole number from ${least}, is ${JSON.stringify(text)}`);
}

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(`fuzz: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
