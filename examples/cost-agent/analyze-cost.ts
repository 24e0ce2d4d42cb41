// Where the money goes: by service, by way of paying, and which instances cost most or do nothing.
import type { AnalyzeCostInput } from "./inputs.ts";
import { groupBy, share, sum, usd } from "./money.ts";
import { costOf, type Instance, ofServices, type Tables } from "./tables.ts";

/** An instance whose busiest 5 % of the time needs less than this is as good as idle. */
const IDLE_CPU_PERCENT = 5;

/** What one service cost. */
export interface ServiceCost {
  readonly service: string;
  readonly instances: number;
  readonly hours: string;
  readonly usd: string;
  readonly percent: number;
  readonly explanation: string;
}

/** What one instance cost. */
export interface InstanceCost {
  readonly instanceId: string;
  readonly service: string;
  readonly instanceType: string;
  readonly usd: string;
  readonly explanation: string;
}

/** The result of `analyze_cost`. */
export interface CostAnalysis {
  readonly usd: string;
  readonly onDemandUsd: string;
  readonly spotUsd: string;
  readonly services: readonly ServiceCost[];
  readonly dearest: readonly InstanceCost[];
  readonly idle: readonly InstanceCost[];
  readonly explanation: string;
}

/** Reckons the cost of a month; `onService` is told of each service as it is done. */
export async function analyzeCost(
  tables: Tables,
  { services: wanted, top }: AnalyzeCostInput,
  onService: (cost: ServiceCost, done: number) => Promise<void>,
): Promise<CostAnalysis> {
  const instances = ofServices(tables, wanted);
  const total = sum(instances.map(costOf));
  const groups = groupBy(instances, ({ service }) => service).toSorted(([, a], [, b]) =>
    sum(b.map(costOf)).comparedTo(sum(a.map(costOf))),
  );
  const services: ServiceCost[] = [];
  for (const [service, members] of groups) {
    const cost = sum(members.map(costOf));
    const [dearestType = ["", []]] = groupBy(members, ({ instance_type }) => instance_type).toSorted(([, a], [, b]) =>
      sum(b.map(costOf)).comparedTo(sum(a.map(costOf))),
    );
    const [type, ofType] = dearestType;
    const line: ServiceCost = {
      service,
      instances: members.length,
      hours: sum(members.map(({ hours }) => hours)).toString(),
      usd: usd(cost),
      percent: share(cost, total),
      explanation: `${share(sum(ofType.map(costOf)), cost)} % of it for ${ofType.length} × ${type}`,
    };
    services.push(line);
    await onService(line, services.length / groups.length);
  }
  const spot = sum(instances.filter(({ purchase }) => purchase === "spot").map(costOf));
  const dearestFirst = instances.toSorted((a, b) => costOf(b).comparedTo(costOf(a)));
  const idle = dearestFirst.filter(({ cpu_p95_percent }) => cpu_p95_percent.lt(IDLE_CPU_PERCENT));
  return {
    usd: usd(total),
    onDemandUsd: usd(total.minus(spot)),
    spotUsd: usd(spot),
    services,
    dearest: dearestFirst.slice(0, top).map(instanceCost),
    idle: idle.map(instanceCost),
    explanation:
      `${instances.length} instances cost $${usd(total)}, ${share(spot, total)} % of it for spot; ` +
      `${idle.length} of them were idle and cost $${usd(sum(idle.map(costOf)))}`,
  };
}

function instanceCost(instance: Instance): InstanceCost {
  const { instance_id, service, instance_type, purchase, hours, cpu_p50_percent, cpu_p95_percent } = instance;
  return {
    instanceId: instance_id,
    service,
    instanceType: instance_type,
    usd: usd(costOf(instance)),
    explanation: `${hours.toString()} h ${purchase}; its processors were busy to ${cpu_p50_percent.toString()} % at the median, ${cpu_p95_percent.toString()} % at the 95th percentile`,
  };
}
