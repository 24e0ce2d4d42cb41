// `npm run bench:durability`: what JetStream loses of what the mesh has acknowledged, and what it costs to lose less.
import { writeFile } from "node:fs/promises";
import process from "node:process";
import { findNatsServer } from "../../lib/nats/server/find-server.ts";
import { BenchError, BenchUsageError } from "../support/bench-error.ts";
import { loadNow, lookAround } from "../support/environment.ts";
import { type Cost, measureCosts } from "./cost.ts";
import { type Disaster, type Loss, measureLoss } from "./loss.ts";
import { type DurabilityOptions, readOptions, USAGE } from "./options.ts";
import { reportText } from "./report.ts";
import { nameOf, SETTINGS } from "./setting.ts";

const EXIT_USAGE = 2;

async function main(options: DurabilityOptions, args: readonly string[]): Promise<void> {
  const loadBefore = loadNow();
  const { version } = await findNatsServer({ environment: process.env });
  const environment = await lookAround(args, version, loadBefore, "bench:durability");
  // Settings that the user has for another mesh, or for tracing, must not change what is measured.
  const foreign = /^(MYCEL_|OTEL_|NATS_URL$)/;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
  const [losses, costs, remarks]: [Loss[], Cost[], string[]] = [[], [], []];
  for (const part of options.only) {
    if (part === "cost") {
      const { passes, tasks } = options;
      costs.push(...(await measureCosts({ settings: SETTINGS, passes, tasks, environment: env, onProgress: say })));
      continue;
    }
    const kind = part === "kill" ? "kill" : "power cut";
    try {
      losses.push(...(await lossesBy(kind, options, env)));
    } catch (error) {
      // The rest can be measured without a disk that forgets.
      if (!(error instanceof BenchError)) throw error;
      remarks.push(error.message);
      say(error.message);
    }
  }
  process.stdout.write(`${reportText({ environment, losses, costs, remarks })}\n`);
  if (options.json !== undefined) {
    await writeFile(options.json, `${JSON.stringify({ environment, losses, costs, remarks }, undefined, 2)}\n`);
  }
}

async function lossesBy(
  kind: Disaster["kind"],
  { rounds, loadSeconds }: DurabilityOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<readonly Loss[]> {
  const losses: Loss[] = [];
  for (const setting of SETTINGS) {
    for (const who of setting.replicas === 1 ? (["all"] as const) : (["one", "all"] as const)) {
      const disaster = { kind, who };
      const loss = await measureLoss({ setting, disaster, rounds, loadMs: loadSeconds * 1_000, environment });
      say(`${kind}, ${who}: ${nameOf(setting)}: ${loss.lost} of ${loss.acknowledged} lost`);
      losses.push(loss);
    }
  }
  return losses;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

try {
  const args = process.argv.slice(2);
  const options = readOptions(args);
  if (options.help) process.stdout.write(USAGE);
  else await main(options, args);
  process.exit(0);
} catch (error) {
  const isForeseen = error instanceof BenchError;
  process.stderr.write(`bench: ${isForeseen ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(error instanceof BenchUsageError ? EXIT_USAGE : 1);
}
