// What would cost less on the spot market, what that risks, and what has to stay and why.
import { Decimal } from "decimal.js";
import type { MigrateToSpotInput } from "./inputs.ts";
import { groupBy, share, sum, usd } from "./money.ts";
import { costOf, type Instance, ofServices, type Tables } from "./tables.ts";

/** Interruption rates are told per month of this many hours. */
const HOURS_PER_MONTH = 730;
const LOW_RISK_PERCENT = 5;
const MEDIUM_RISK_PERCENT = 10;

/** An instance that may move to spot. */
export interface SpotMove {
  readonly instanceId: string;
  readonly service: string;
  readonly instanceType: string;
  readonly usd: string;
  readonly spotUsd: string;
  readonly savingUsd: string;
  readonly risk: "low" | "medium" | "high";
  /** How often it is likely to be interrupted in the hours that it runs. */
  readonly expectedInterruptions: number;
  readonly explanation: string;
}

/** An instance that stays as it is. */
export interface Stay {
  readonly instanceId: string;
  readonly service: string;
  readonly reason: "already-spot" | "stateful" | "interrupted-too-often" | "kept-on-demand" | "not-cheaper";
  readonly explanation: string;
}

/** The result of `migrate_to_spot`. */
export interface SpotPlan {
  readonly usd: string;
  readonly savingUsd: string;
  readonly savingPercent: number;
  readonly moves: readonly SpotMove[];
  readonly stays: readonly Stay[];
  readonly services: readonly { readonly service: string; readonly savingUsd: string; readonly moves: number }[];
  readonly explanation: string;
}

/** Plans the move; `onMove` is told of each instance that may move, as it is found. */
export async function migrateToSpot(
  tables: Tables,
  options: MigrateToSpotInput,
  onMove: (move: SpotMove, done: number) => Promise<void>,
): Promise<SpotPlan> {
  const instances = ofServices(tables, options.services);
  const reasons = new Map(instances.map((instance) => [instance, reasonToStay(instance, options)]));
  const kept = keptOnDemand(instances, reasons, options.keepOnDemand);
  const moving: Instance[] = [];
  const moves: SpotMove[] = [];
  const stays: Stay[] = [];
  for (const [i, instance] of instances.entries()) {
    const stay = reasons.get(instance) ?? kept.get(instance);
    if (stay === undefined) {
      const move = moveOf(instance);
      moving.push(instance);
      moves.push(move);
      await onMove(move, (i + 1) / instances.length);
    } else {
      stays.push({ instanceId: instance.instance_id, service: instance.service, ...stay });
    }
  }
  const total = sum(instances.map(costOf));
  const saving = sum(moving.map(savingOf));
  return {
    usd: usd(total),
    savingUsd: usd(saving),
    savingPercent: share(saving, total),
    moves,
    stays,
    services: groupBy(moving, ({ service }) => service).map(([service, members]) => ({
      service,
      savingUsd: usd(sum(members.map(savingOf))),
      moves: members.length,
    })),
    explanation: `${moves.length} of ${instances.length} instances may move and save $${usd(saving)} of $${usd(total)} a month`,
  };
}

type Reason = Pick<Stay, "reason" | "explanation">;

function reasonToStay(instance: Instance, { maxInterruptionPercent }: MigrateToSpotInput): Reason | undefined {
  const { purchase, workload, instance_type, price } = instance;
  if (purchase === "spot") return { reason: "already-spot", explanation: "is on spot already" };
  if (workload === "stateful") {
    return { reason: "stateful", explanation: "keeps state, which an interruption would take away" };
  }
  if (price.interruption_percent.gt(maxInterruptionPercent)) {
    const rate = price.interruption_percent.toString();
    const explanation = `${rate} % of ${instance_type} are interrupted in a month, more than ${maxInterruptionPercent} %`;
    return { reason: "interrupted-too-often", explanation };
  }
  if (savingOf(instance).lte(0)) return { reason: "not-cheaper", explanation: "spot is not cheaper" };
  return undefined;
}

/** Interruptions often come together: some of what serves users stays, those first whose move would save least. */
function keptOnDemand(
  instances: readonly Instance[],
  reasons: ReadonlyMap<Instance, Reason | undefined>,
  keep: number,
): ReadonlyMap<Instance, Reason> {
  const explanation = `one of ${keep} that the service keeps on demand for when spot is interrupted`;
  const stateless = instances.filter(({ workload }) => workload === "stateless");
  return new Map(
    groupBy(stateless, ({ service }) => service).flatMap(([, members]) => {
      const staying = members.filter((member) => reasons.get(member)?.reason === "interrupted-too-often").length;
      return members
        .filter((member) => reasons.get(member) === undefined)
        .toSorted((a, b) => savingOf(a).comparedTo(savingOf(b)) || (a.instance_id < b.instance_id ? -1 : 1))
        .slice(0, Math.max(0, keep - staying))
        .map((member): [Instance, Reason] => [member, { reason: "kept-on-demand", explanation }]);
    }),
  );
}

function moveOf(instance: Instance): SpotMove {
  const { instance_id, service, instance_type, hours, price } = instance;
  const rate = price.interruption_percent;
  const risk = rate.lte(LOW_RISK_PERCENT) ? "low" : rate.lte(MEDIUM_RISK_PERCENT) ? "medium" : "high";
  const expected = rate.div(100).times(hours).div(HOURS_PER_MONTH);
  const { on_demand_usd_hour, spot_usd_hour } = price;
  return {
    instanceId: instance_id,
    service,
    instanceType: instance_type,
    usd: usd(costOf(instance)),
    spotUsd: usd(spot_usd_hour.times(hours)),
    savingUsd: usd(savingOf(instance)),
    risk,
    expectedInterruptions: expected.toDecimalPlaces(3, Decimal.ROUND_HALF_UP).toNumber(),
    explanation:
      `${hours.toString()} h at $${spot_usd_hour.toString()} instead of $${on_demand_usd_hour.toString()}; ` +
      `${rate.toString()} % are interrupted in a month`,
  };
}

function savingOf({ price, hours }: Instance): Decimal {
  return price.on_demand_usd_hour.minus(price.spot_usd_hour).times(hours);
}
