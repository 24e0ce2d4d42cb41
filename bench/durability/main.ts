// `npm run bench:durability`: what JetStream loses of what the mesh has acknowledged, and what it costs to lose less.
import { writeFile } from "node:fs/promises";
import process from "node:process";
import { findNatsServer } from "../../lib/nats/server/find-server.ts";
import { runTool } from "../../tests/support/tool.ts";
import { BenchError } from "../support/bench-error.ts";
import { loadNow, lookAround, withoutSettings } from "../support/environment.ts";
import { type Cost, measureCosts } from "./cost.ts";
import { type Disaster, type Loss, measureLoss } from "./loss.ts";
import { type DurabilityOptions, readOptions } from "./options.ts";
import { reportText } from "./report.ts";
import { nameOf, SETTINGS } from "./setting.ts";

async function main(options: DurabilityOptions, args: readonly string[]): Promise<void> {
  const loadBefore = loadNow();
  const { version } = await findNatsServer({ environment: process.env });
  const environment = await lookAround(args, version, loadBefore, "bench:durability");
  const env = withoutSettings(process.env);
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

await runTool("bench:durability", async (args) => {
  await main(readOptions(args), args);
  return 0;
});
