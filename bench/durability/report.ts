// What the durability measurement says at its end. Pure.
import { markdownTable } from "../report/markdown-table.ts";
import type { BenchEnvironment } from "../support/environment.ts";
import type { Cost } from "./cost.ts";
import type { Loss } from "./loss.ts";
import { nameOf } from "./setting.ts";

/** Everything that was found; what was not measured is empty. */
export interface DurabilityResult {
  readonly environment: BenchEnvironment;
  readonly losses: readonly Loss[];
  readonly costs: readonly Cost[];
  /** Why a part could not be measured, a line each. */
  readonly remarks: readonly string[];
}

/** Everything that is printed at the end. */
export function reportText({ environment, losses, costs, remarks }: DurabilityResult): string {
  const { command, date, commit, node, natsServer, platform, cores, memoryGiB, loadBefore } = environment;
  const parts = [
    [
      command,
      `${date} UTC, commit ${commit}, Node ${node}, nats-server ${natsServer}`,
      `${platform}, ${cores} cores, ${memoryGiB} GiB; load before the start ${loadBefore}`,
    ].join("\n"),
  ];
  if (losses.length > 0) parts.push(lossTable(losses));
  if (costs.length > 0) parts.push(costTable(costs));
  return [...parts, ...remarks].join("\n\n");
}

function lossTable(losses: readonly Loss[]): string {
  return markdownTable(
    ["", "disaster", "rounds", "acknowledged", "lost", "oldest lost"],
    losses.map(({ setting, disaster, rounds, acknowledged, lost, oldestLostSeconds }) => [
      nameOf(setting),
      `${disaster.kind}, ${setting.replicas === 1 ? "the server" : disaster.who === "all" ? "all three" : "one of three"}`,
      String(rounds),
      acknowledged.toLocaleString("en-US"),
      lost.toLocaleString("en-US"),
      lost === 0 ? "" : `${oldestLostSeconds.toFixed(1)} s`,
    ]),
  );
}

function costTable(costs: readonly Cost[]): string {
  const scenarios = [...new Map(costs.map(({ scenario }) => [scenario.id, scenario])).values()];
  const settings = [...new Set(costs.map(({ setting }) => nameOf(setting)))];
  const cell = (setting: string, id: string): string => {
    const cost = costs.find((each) => nameOf(each.setting) === setting && each.scenario.id === id);
    if (cost === undefined) return "";
    const [low, high] = cost.ratioRange;
    return `${cost.ratio.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)}), ${Math.round(cost.perSecond).toLocaleString("en-US")}/s`;
  };
  return markdownTable(
    ["", ...scenarios.map(({ title }) => title)],
    settings.map((setting) => [setting, ...scenarios.map(({ id }) => cell(setting, id))]),
  );
}
