// What a scenario is: one way of using a system, measured on every contender that can by the same code.

import type { Amounts } from "../support/amounts.ts";
import { BenchError } from "../support/bench-error.ts";
import type { Contender, Durability } from "../support/contender.ts";
import type { GrpcLoad } from "../support/grpc-load.ts";

/** What some contenders cannot do. */
export type Ability = {
  [Name in keyof Contender]-?: undefined extends Contender[Name] ? Name : never;
}[keyof Contender];

/** One measurement among many. */
export interface Measurement {
  readonly contender: Contender;
  /** Unlike that of any other measurement on this contender; the prefix of all task ids. */
  readonly prefix: string;
  readonly amounts: Amounts;
  /** Tasks a second that count as half load, for every contender alike. */
  readonly halfLoad: number;
  /** Calls from outside, for the scenarios that make them. */
  readonly grpcLoad?: GrpcLoad;
}

/** How often something was done within a time. */
export interface Rate {
  readonly count: number;
  readonly tookMs: number;
}

interface ScenarioBase {
  /** Names it in options and in the JSON. */
  readonly id: string;
  /** Names it in the table. */
  readonly title: string;
  /** Whether a contender can do what it asks for. */
  readonly runsOn: (contender: Contender) => boolean;
  /** At which durabilities it says something. */
  readonly durabilities: readonly Durability[];
}

/** Measures how much can be done. */
export interface RateScenario extends ScenarioBase {
  readonly kind: "rate";
  readonly unit: "tasks/s" | "calls/s";
  readonly measure: (measurement: Measurement) => Promise<Rate>;
}

/** Measures how long one takes. */
export interface LatencyScenario extends ScenarioBase {
  readonly kind: "latency";
  /** Whether it runs beside a load of {@link Measurement.halfLoad}. */
  readonly underLoad: boolean;
  /** Milliseconds of each sample. Rejects with {@link NotCarried} when the contender does not carry the load. */
  readonly measure: (measurement: Measurement) => Promise<readonly number[]>;
}

/** Either. */
export type Scenario = RateScenario | LatencyScenario;

/** A contender does not carry a load that was asked of it. The message says how much it carried. */
export class NotCarried extends Error {
  override readonly name = "NotCarried";
}

/** Inputs of the size that most tasks have, and large ones. In bytes. */
export const SMALL_INPUT_BYTES = 200;
/** @see {@link SMALL_INPUT_BYTES} */
export const LARGE_INPUT_BYTES: number = 16 * 1_024;

/** Whether a contender can do all of this. */
export function having(...abilities: readonly Ability[]): (contender: Contender) => boolean {
  return (contender) => abilities.every((ability) => contender[ability] !== undefined);
}

/** What a contender can do, to be called as a function. Throws BenchError if it cannot. */
export function abilityOf<Name extends Exclude<Ability, "unaryCalls">>(
  contender: Contender,
  name: Name,
): NonNullable<Contender[Name]> {
  const method = contender[name];
  if (method === undefined) throw new BenchError(`${contender.id} has no ${name}`);
  return method.bind(contender) as NonNullable<Contender[Name]>;
}
