// What a setting costs: tasks a second through a coordinator and an agent, each pass over all settings in turn, so that what others do on
// the machine meets them all alike.
import { openMesh, type Mesh } from "../contenders/mesh/mesh.ts";
import { BULK } from "../scenarios/throughput.ts";
import type { RateScenario } from "../scenarios/scenario.ts";
import { SUBMIT_COMPLETE } from "../scenarios/unary.ts";
import type { Amounts } from "../support/amounts.ts";
import { median } from "../support/statistics.ts";
import { openBrokers } from "./brokers.ts";
import { nameOf, type Setting } from "./setting.ts";

/** What one scenario did in one setting. */
export interface Cost {
  readonly setting: Setting;
  readonly scenario: Pick<RateScenario, "id" | "title">;
  /** Tasks a second, the median of the passes. */
  readonly perSecond: number;
  /** To the first setting in the same pass; the median, and the extremes. */
  readonly ratio: number;
  readonly ratioRange: readonly [low: number, high: number];
}

/** How costs are measured. */
export interface CostOptions {
  readonly settings: readonly Setting[];
  /** Passes that count; one to warm up comes before. */
  readonly passes: number;
  /** Tasks of a bulk measurement. */
  readonly tasks: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly onProgress: (line: string) => void;
}

const SCENARIOS: readonly RateScenario[] = [
  BULK,
  ...SUBMIT_COMPLETE.filter(({ id }) => id === "complete-1" || id === "complete-16"),
];
const CALL_SHARES: ReadonlyMap<number, number> = new Map([
  [1, 20],
  [16, 5],
]);
const WARM_UP_SHARE = 4;

/** Measures them. */
export async function measureCosts(options: CostOptions): Promise<readonly Cost[]> {
  const { settings, passes, tasks, environment, onProgress } = options;
  await using stack = new AsyncDisposableStack();
  const meshes: { readonly setting: Setting; readonly mesh: Mesh }[] = [];
  for (const setting of settings) {
    const brokers = stack.use(await openBrokers(setting));
    const { replicas } = setting;
    const nats = { url: brokers.url, pid: brokers.nodes[0]?.process.pid ?? 0, replicas, setting: nameOf(setting) };
    meshes.push({ setting, mesh: stack.use(await openMesh({ environment, nats })) });
  }
  const rates = new Map<string, number[]>();
  for (let pass = 0; pass <= passes; pass += 1) {
    const amounts = amountsOf(Math.ceil(tasks / (pass === 0 ? WARM_UP_SHARE : 1)));
    for (const scenario of SCENARIOS) {
      // Whoever goes first finds the machine as the last left it; none shall always be the first.
      for (const { setting, mesh } of pass % 2 === 0 ? meshes : meshes.toReversed()) {
        const { count, tookMs } = await scenario.measure({
          contender: mesh,
          prefix: `${scenario.id}-p${pass}`,
          amounts,
          halfLoad: 0,
        });
        await mesh.settle();
        const perSecond = (count * 1_000) / tookMs;
        onProgress(`pass ${pass} of ${passes}: ${scenario.id}: ${nameOf(setting)}: ${Math.round(perSecond)}/s`);
        if (pass === 0) continue;
        const key = keyOf(scenario, setting);
        rates.set(key, [...(rates.get(key) ?? []), perSecond]);
      }
    }
  }
  return SCENARIOS.flatMap((scenario) =>
    settings.map((setting) => {
      const own = rates.get(keyOf(scenario, setting)) ?? [];
      const first = settings[0] === undefined ? [] : (rates.get(keyOf(scenario, settings[0])) ?? []);
      const ratios = own.map((rate, i) => rate / (first[i] ?? Number.NaN));
      const ratioRange = [Math.min(...ratios), Math.max(...ratios)] as const;
      return { setting, scenario, perSecond: median(own), ratio: median(ratios), ratioRange };
    }),
  );
}

function amountsOf(tasks: number): Amounts {
  return {
    tasks,
    samples: 1,
    served: tasks,
    calls: (concurrency) => Math.ceil(tasks / (CALL_SHARES.get(concurrency) ?? 1)),
  };
}

function keyOf({ id }: RateScenario, setting: Setting): string {
  return `${id} ${nameOf(setting)}`;
}
