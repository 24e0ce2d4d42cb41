// One durability: opens the contenders, runs the rounds on them, ends them.

import { setTimeout as sleep } from "node:timers/promises";
import type { OtherKind } from "./contenders/all.ts";
import { openMesh } from "./contenders/mesh/mesh.ts";
import type { MessageSizes } from "./contenders/mesh/sizes.ts";
import { runRounds, type ScenarioResult } from "./rounds.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import { BenchError } from "./support/bench-error.ts";
import type { Contender, Durability } from "./support/contender.ts";
import { openGrpcLoad } from "./support/grpc-load.ts";

/** What to run. */
export interface SuiteOptions {
  /** The environment for all processes, without settings of Mycel and OpenTelemetry. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly durability: Durability;
  /** Who is measured beside the mesh. */
  readonly others: readonly OtherKind[];
  readonly scenarios: readonly Scenario[];
  readonly rounds: number;
  readonly tasks: number;
  readonly samples: number;
  readonly profileDir: string | undefined;
  /** Rejects when the run is to end early. */
  readonly stopped: Promise<never>;
  /** Hears, in a line, of what is being done. */
  readonly onProgress: (line: string) => void;
}

/** What a durability gave. */
export interface SuiteResult {
  readonly durability: Durability;
  /** Who was measured, by id, as the report prints them. */
  readonly titles: Readonly<Record<string, string>>;
  readonly results: readonly ScenarioResult[];
  /** By id, why one that was wanted could not be started. */
  readonly absent: Readonly<Record<string, string>>;
  readonly sizes: MessageSizes;
}

const CRASH_KNOWN_WITHIN_MS = 500;
const ESSENTIAL: readonly string[] = ["mesh", "floor"];

/** Runs it. Rejects when the mesh or the floor fails. */
export async function runSuite(options: SuiteOptions): Promise<SuiteResult> {
  const { environment, durability, profileDir, rounds, tasks, samples, onProgress } = options;
  const scenarios = options.scenarios.filter(({ durabilities }) => durabilities.includes(durability));
  await using stack = new AsyncDisposableStack();
  const mesh = stack.use(await openMesh({ environment, nats: durability, profileDir }));
  const others: Contender[] = [];
  const absent: Record<string, string> = {};
  for (const kind of options.others) {
    const opened = await tryOpen(kind, { environment, durability, profileDir, sizes: mesh.sizes });
    if (typeof opened === "string") {
      absent[kind.id] = opened;
      onProgress(`${kind.id} left out: ${opened}`);
    } else others.push(stack.use(opened));
  }
  const grpcLoad = stack.use(await openGrpcLoad(environment));
  const run = runRounds({
    mesh,
    grpcLoad,
    others,
    essential: ESSENTIAL,
    scenarios,
    rounds,
    tasks,
    samples,
    onProgress,
  });
  const results = await Promise.race([explained(run, [mesh, ...others]), options.stopped]);
  const titles = Object.fromEntries([mesh, ...others].map(({ id, title }) => [id, title]));
  return { durability, titles, results, absent, sizes: mesh.sizes };
}

/** Opens a contender, or says why it cannot be opened here. Rejects if it is essential. */
async function tryOpen(kind: OtherKind, options: Parameters<OtherKind["open"]>[0]): Promise<Contender | string> {
  const lacking = await kind.lacking();
  if (lacking !== undefined) return lacking;
  try {
    return await kind.open(options);
  } catch (error) {
    if (!(error instanceof BenchError) || ESSENTIAL.includes(kind.id)) throw error;
    return error.message;
  }
}

/** A call fails a moment before its process is known to be gone; that it is gone is the better reason. */
async function explained<T>(work: Promise<T>, contenders: readonly Contender[]): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const essential = contenders.filter(({ id }) => ESSENTIAL.includes(id));
    await Promise.race([...essential.map(({ failed }) => failed), sleep(CRASH_KNOWN_WITHIN_MS)]);
    throw error;
  }
}
