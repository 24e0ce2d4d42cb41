// Runs the fuzzing tests for longer, or a failing run again: npm run fuzz -- --runs 20 --seed 42
import { spawnSync } from "node:child_process";
import process from "node:process";
import { wholeNumberOption } from "../../cli/option-values.ts";
import { runTool, toolCommand } from "../support/tool.ts";

/** A short run's tests end within a minute. */
const SHORT_TIMEOUT_MS = 60_000;

const command = toolCommand("fuzz")
  .description("Runs the fuzzing tests for longer, or a failing run again.")
  .argument("[files...]", "only these test files")
  .option("--runs <n>", "how many times as much as a short run is tried", wholeNumberOption(1), 10)
  .option("--seed <n>", "which random choices (default: others each time)", wholeNumberOption(0));

interface Given {
  readonly runs: number;
  readonly seed?: number;
}

await runTool("fuzz", (args) => {
  const { runs, seed = Math.trunc(Math.random() * 2 ** 31) } = command.parse(args, { from: "user" }).opts<Given>();
  process.stdout.write(`fuzzing with --runs ${runs} --seed ${seed}\n`);
  const files = command.args.length === 0 ? ["tests/fuzz"] : command.args;
  const { status } = spawnSync("vitest", ["run", `--testTimeout=${SHORT_TIMEOUT_MS * runs}`, ...files], {
    env: { ...process.env, FUZZ_RUNS: String(runs), FUZZ_SEED: String(seed) },
    stdio: "inherit",
  });
  if (status !== 0) process.stdout.write(`repeat with: npm run fuzz -- --runs ${runs} --seed ${seed}\n`);
  return status ?? 1;
});
