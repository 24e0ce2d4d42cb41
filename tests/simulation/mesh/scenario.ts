// What a run is about: how many coordinators, which tasks, and the sequence of choices that says what happens when.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { type SubmitTaskRequest, SubmitTaskRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { priorityToWire } from "../../../lib/wire/state-codec.ts";
import { durationFromMs } from "../../../lib/wire/time-codec.ts";

/** A task that is to be submitted. */
export interface TaskPlan {
  readonly queue: string;
  readonly priority: number;
  readonly maximumAttempts: number;
  readonly scheduleToStartMs: number | undefined;
  readonly scheduleToCloseMs: number | undefined;
  readonly startToCloseMs: number;
  readonly delayMs: number | undefined;
  /** How long it is kept once it has ended; undefined for longer than any run lasts. */
  readonly resultTtlMs: number | undefined;
}

/** How a run goes on once nothing goes wrong any more. */
export type Aftermath =
  /** Agents work on. */
  | "work"
  /** Every agent is gone for good; only deadlines are left. */
  | "nobody"
  /** Whoever starts a task dies of it. */
  | "poison";

/**
 * How often each kind of fault happens in a run: 0 for never, to 2 for often. Faults that are left out let others go deeper than all
 * of them together would.
 */
export interface Faults {
  /** Coordinators die. */
  readonly crashes: number;
  /** Requests to the broker, or its answers, are lost or late. */
  readonly silence: number;
  /** Messages between agents and coordinators, and acknowledgements, are lost or repeated. */
  readonly loss: number;
  /** Reads are answered by a replica that lags behind. */
  readonly lag: number;
  /** Leases end although their holder is alive. */
  readonly leases: number;
  /** Agents die. */
  readonly deaths: number;
  /** Clocks are wrong. */
  readonly clocks: number;
  /** The log is full for a moment, or JetStream's API does not answer. */
  readonly refusals: number;
  /** Queues' consumers are deleted and made again: they deliver everything from the start, and count deliveries from 1. */
  readonly amnesia: number;
  /** Clients cancel, submit again, and submit something else under the same name. */
  readonly interference: number;
}

/** Nothing goes wrong. */
export const NO_FAULTS: Faults = {
  crashes: 0,
  silence: 0,
  loss: 0,
  lag: 0,
  leases: 0,
  deaths: 0,
  clocks: 0,
  refusals: 0,
  amnesia: 0,
  interference: 0,
};

/** One run. */
export interface Scenario {
  readonly coordinators: number;
  readonly tasks: readonly TaskPlan[];
  readonly faults: Faults;
  readonly aftermath: Aftermath;
  /** How many follow results. */
  readonly readers: number;
  /** Each picks one of the things that can happen at its time. */
  readonly choices: readonly number[];
}

/**
 * How long an ended task is kept where it is purged at all. Longer than a replica may lag and a request may be late: whoever decides by
 * a task that was purged meanwhile meets another one of its name, or none.
 */
const KEPT_MS = 60_000;

function seldom(weight: number, arbitrary: fc.Arbitrary<number>): fc.Arbitrary<number | undefined> {
  return fc.oneof({ weight, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

const level: fc.Arbitrary<number> = fc.constantFrom(0, 0, 1, 1, 2);

const faults: fc.Arbitrary<Faults> = fc.record({
  crashes: level,
  silence: level,
  loss: level,
  lag: level,
  leases: level,
  deaths: level,
  clocks: level,
  refusals: level,
  amnesia: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1),
  interference: level,
});

const waits = seldom(3, fc.integer({ min: 1_000, max: 90_000 }));

const tasks: fc.Arbitrary<TaskPlan> = fc.record({
  queue: fc.constantFrom("work", "errands"),
  priority: fc.constantFrom(5, 10),
  maximumAttempts: fc.integer({ min: 1, max: 3 }),
  scheduleToStartMs: waits,
  scheduleToCloseMs: waits,
  startToCloseMs: fc.integer({ min: 10, max: 60_000 }),
  delayMs: seldom(4, fc.integer({ min: 1, max: 20_000 })),
  resultTtlMs: seldom(3, fc.constant(KEPT_MS)),
});

/** Runs, as many as there are seeds. */
export const scenarios: fc.Arbitrary<Scenario> = fc.record({
  coordinators: fc.integer({ min: 1, max: 3 }),
  tasks: fc.array(tasks, { minLength: 1, maxLength: 3 }),
  faults,
  readers: fc.constantFrom(0, 0, 1, 2),
  aftermath: fc.constantFrom<Aftermath>("work", "work", "nobody", "poison"),
  choices: fc.array(fc.nat({ max: 2 ** 30 }), { minLength: 20, maxLength: 240, size: "max" }),
});

/** The submission of a task. `copy` makes another submission under the same id. */
export function submissionOf(plan: TaskPlan, taskId: string, copy: string): SubmitTaskRequest {
  const { scheduleToStartMs, scheduleToCloseMs, delayMs, resultTtlMs } = plan;
  const request: MessageInitShape<typeof SubmitTaskRequestSchema> = {
    taskId,
    type: plan.queue,
    priority: priorityToWire(plan.priority),
    labels: { copy },
    timeouts: {
      startToClose: durationFromMs(plan.startToCloseMs),
      ...(scheduleToStartMs === undefined ? {} : { scheduleToStart: durationFromMs(scheduleToStartMs) }),
      ...(scheduleToCloseMs === undefined ? {} : { scheduleToClose: durationFromMs(scheduleToCloseMs) }),
    },
    retryPolicy: {
      maximumAttempts: plan.maximumAttempts,
      initialInterval: durationFromMs(1_000),
      backoffCoefficient: 2,
      maximumInterval: durationFromMs(8_000),
    },
    ...(resultTtlMs === undefined ? {} : { resultTtl: durationFromMs(resultTtlMs) }),
    ...(delayMs === undefined ? {} : { start: { case: "delay", value: durationFromMs(delayMs) } }),
  };
  return create(SubmitTaskRequestSchema, request);
}
