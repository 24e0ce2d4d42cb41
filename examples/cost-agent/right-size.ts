// Which instances are larger than their load needs, or smaller, and what type would fit.
import { Decimal } from "decimal.js";
import type { RightSizeInput } from "./inputs.ts";
import { groupBy, share, sum, usd } from "./money.ts";
import { costOf, hourly, type Instance, ofServices, type Price, type Tables } from "./tables.ts";

/** What should become of an instance. */
export interface Sizing {
  readonly instanceId: string;
  readonly service: string;
  /** `grow` costs more: the load does not fit with the room that was asked for. */
  readonly advice: "shrink" | "grow" | "keep";
  readonly instanceType: string;
  readonly betterType: string;
  readonly neededVcpu: number;
  readonly neededMemoryGib: number;
  readonly usd: string;
  readonly betterUsd: string;
  /** Below 0 for `grow`. */
  readonly savingUsd: string;
  readonly explanation: string;
}

/** The result of `right_size`. */
export interface SizingPlan {
  readonly usd: string;
  /** Of all that should shrink. */
  readonly savingUsd: string;
  readonly savingPercent: number;
  /** What it costs more to let grow what is too small. */
  readonly extraUsd: string;
  readonly instances: readonly Sizing[];
  readonly services: readonly { readonly service: string; readonly savingUsd: string; readonly changes: number }[];
  readonly explanation: string;
}

interface Fit {
  readonly instance: Instance;
  readonly advice: Sizing["advice"];
  readonly better: Price;
  readonly vcpu: Decimal;
  readonly memoryGib: Decimal;
}

/** Sizes every instance; `onChange` is told of each that should change, as it is found. */
export async function rightSize(
  tables: Tables,
  { services, headroomPercent }: RightSizeInput,
  onChange: (sizing: Sizing, done: number) => Promise<void>,
): Promise<SizingPlan> {
  const instances = ofServices(tables, services);
  const fits: Fit[] = [];
  const lines: Sizing[] = [];
  for (const [i, instance] of instances.entries()) {
    const fit = fitOf(instance, tables.prices, headroomPercent);
    const line = sizingOf(fit, headroomPercent);
    fits.push(fit);
    lines.push(line);
    if (line.advice !== "keep") await onChange(line, (i + 1) / instances.length);
  }
  const total = sum(instances.map(costOf));
  const shrinking = fits.filter(({ advice }) => advice === "shrink");
  const growing = fits.filter(({ advice }) => advice === "grow");
  const saving = sum(shrinking.map(savingOf));
  const extra = sum(growing.map(savingOf)).negated();
  return {
    usd: usd(total),
    savingUsd: usd(saving),
    savingPercent: share(saving, total),
    extraUsd: usd(extra),
    instances: lines,
    services: groupBy([...shrinking, ...growing], ({ instance }) => instance.service).map(([service, members]) => ({
      service,
      savingUsd: usd(sum(members.map(savingOf))),
      changes: members.length,
    })),
    explanation:
      `${shrinking.length} of ${instances.length} instances are larger than they need be: smaller ones save $${usd(saving)} a month; ` +
      `${growing.length} are too small: larger ones cost $${usd(extra)} more`,
  };
}

function fitOf(instance: Instance, prices: readonly Price[], headroomPercent: number): Fit {
  const { price, purchase, workload, cpu_p95_percent, memory_p95_percent } = instance;
  const room = new Decimal(headroomPercent).div(100).plus(1);
  // A batch job is to use all its processors.
  const vcpu = cpu_p95_percent
    .div(100)
    .times(price.vcpu)
    .times(workload === "batch" ? 1 : room);
  const memoryGib = memory_p95_percent.div(100).times(price.memory_gib).times(room);
  const isEnough = (other: Price): boolean => vcpu.lte(other.vcpu) && memoryGib.lte(other.memory_gib);
  // Programs are built for an architecture; and what is not burstable now may need its processors all the time.
  const candidates = prices.filter(
    (other) =>
      other.architecture === price.architecture &&
      other.gpu === price.gpu &&
      (price.burstable || !other.burstable) &&
      isEnough(other),
  );
  const [cheapest = price] = candidates.toSorted((a, b) => hourly(a, purchase).comparedTo(hourly(b, purchase)));
  if (!isEnough(price) && isEnough(cheapest)) return { instance, advice: "grow", better: cheapest, vcpu, memoryGib };
  const isCheaper = hourly(cheapest, purchase).lt(hourly(price, purchase));
  if (isEnough(price) && isCheaper) return { instance, advice: "shrink", better: cheapest, vcpu, memoryGib };
  return { instance, advice: "keep", better: price, vcpu, memoryGib };
}

function sizingOf(fit: Fit, headroomPercent: number): Sizing {
  const { instance, advice, better, vcpu, memoryGib } = fit;
  const { instance_id, service, instance_type, purchase, hours } = instance;
  return {
    instanceId: instance_id,
    service,
    advice,
    instanceType: instance_type,
    betterType: better.instance_type,
    neededVcpu: vcpu.toDecimalPlaces(2, Decimal.ROUND_HALF_UP).toNumber(),
    neededMemoryGib: memoryGib.toDecimalPlaces(2, Decimal.ROUND_HALF_UP).toNumber(),
    usd: usd(costOf(instance)),
    betterUsd: usd(hourly(better, purchase).times(hours)),
    savingUsd: usd(savingOf(fit)),
    explanation: explanationOf(fit, headroomPercent),
  };
}

function explanationOf({ instance, advice, better, vcpu, memoryGib }: Fit, headroomPercent: number): string {
  const { price, workload } = instance;
  const needs = `needs ${vcpu.toFixed(2)} of ${price.vcpu} vCPU and ${memoryGib.toFixed(2)} of ${price.memory_gib.toString()} GiB with ${headroomPercent} % of room`;
  if (advice === "keep") {
    const isEnough = vcpu.lte(price.vcpu) && memoryGib.lte(price.memory_gib);
    return isEnough ? `${needs}; nothing cheaper fits` : `${needs}; nothing in the price list fits`;
  }
  const restart = workload === "stateful" ? "; keeps state: plan the restart" : "";
  return `${needs}; ${better.instance_type} has ${better.vcpu} and ${better.memory_gib.toString()}${restart}`;
}

function savingOf({ instance, better }: Fit): Decimal {
  return costOf(instance).minus(hourly(better, instance.purchase).times(instance.hours));
}
