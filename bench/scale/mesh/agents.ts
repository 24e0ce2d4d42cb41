// Agents of a measurement: any number of them in one process of their own.

import { type BenchProcess, startProcess } from "../../support/process.ts";
import { WORKER_CONCURRENCY } from "../../support/contender.ts";
import type { ScaleOptions } from "../figure.ts";
import type { Coordinator } from "./coordinator.ts";

/** What the agents' process is told, as JSON. */
export interface AgentsOrder {
  readonly urls: readonly string[];
  /** How many agents run in the process, named `<prefix>-0` and so on. */
  readonly count: number;
  readonly prefix: string;
  /** How many attempts each runs at once. */
  readonly concurrency: number;
  /** What each can do. */
  readonly types: readonly ServedType[];
}

/** How to start them. */
export interface AgentsOptions extends ScaleOptions {
  /** Where they register. */
  readonly coordinators: readonly Coordinator[];
  readonly prefix: string;
  /** How many; 1 if left out. */
  readonly count?: number;
  /** How many attempts each runs at once; as the rest of the benchmark does if left out. */
  readonly concurrency?: number;
  /** What each can do; nothing, quickly, if left out. */
  readonly types?: readonly ServedType[];
  readonly settings?: Readonly<Record<string, string>>;
}

/** The task types that these agents run. */
export const TYPES = {
  /** Does nothing. */
  nothing: "nothing",
  /** Streams outputs as its input, a {@link StreamedOrder}, says. */
  streamed: "streamed",
  /** Nobody runs it. */
  parked: "parked",
} as const;

/** A task type that agents can run. */
export type ServedType = Exclude<keyof typeof TYPES, "parked">;

/** The input of a task that streams. */
export interface StreamedOrder {
  /** When to begin, in milliseconds of the wall clock. */
  readonly startMs: number;
  readonly everyMs: number;
  readonly chunks: number;
}

/** Starts a process of agents. Resolves when all take work. */
export async function openAgents(options: AgentsOptions): Promise<BenchProcess> {
  const { environment, coordinators, prefix, settings } = options;
  const { count = 1, concurrency = WORKER_CONCURRENCY, types = [TYPES.nothing] } = options;
  const urls = coordinators.map(({ url }) => url);
  return await startProcess({
    entry: "bench/scale/mesh/agents-process.ts",
    args: [JSON.stringify({ urls, count, prefix, concurrency, types } satisfies AgentsOrder)],
    env: { ...environment, ...settings },
  });
}
