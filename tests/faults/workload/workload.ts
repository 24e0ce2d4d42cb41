// Clients that keep the mesh busy with mixed tasks until they are told to stop, and then see every task to its end.
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import type { Random } from "../random.ts";
import { type CallError, Journal } from "./journal.ts";
import * as scenarios from "./scenarios.ts";
import type { Scenario, Stage } from "./scenarios.ts";

/** How often a story is told, relative to the others. */
export type Mix = Readonly<Partial<Record<keyof typeof scenarios, number>>>;

/** What a workload does. */
export interface WorkloadOptions {
  /** Where the coordinators are. */
  readonly urls: readonly string[];
  /** The folder of the history. */
  readonly historyDir: string;
  readonly random: Random;
  /** Starts the ids of all its tasks. */
  readonly prefix: string;
  /** Clients, each with connections of its own and another first coordinator. Default 4. */
  readonly clients?: number;
  /** Stories under way at once. Default 24. */
  readonly stories?: number;
  /** Which stories. Default: {@link DEFAULT_MIX}. */
  readonly mix?: Mix;
}

/** All stories; most tasks are plain. */
export const DEFAULT_MIX: Mix = {
  one: 30,
  bulk: 14,
  streamedIn: 8,
  followed: 8,
  resumed: 12,
  canceled: 8,
  repeated: 5,
  redriven: 3,
  delayed: 6,
  expired: 2,
  large: 1,
};

/** Clients at work. */
export interface Workload extends AsyncDisposable {
  readonly journal: Journal;
  /** The clients, for probes. */
  readonly clients: readonly MycelClient[];
  /** Starts no further story and resolves when those under way are told; gives up after `limitMs` and says what is open. */
  finish(limitMs: number): Promise<{ readonly open: readonly string[]; readonly errors: readonly CallError[] }>;
}

const CALL_TIMEOUT_MS = 60_000;

/** Starts the clients. */
export function startWorkload(options: WorkloadOptions): Workload {
  const { urls, random, mix = DEFAULT_MIX, stories = 24 } = options;
  const journal = new Journal(options.historyDir);
  const clients = Array.from({ length: options.clients ?? 4 }, (_, i) => {
    const turn = i % urls.length;
    return createClient({ urls: [...urls.slice(turn), ...urls.slice(0, turn)], timeoutMs: CALL_TIMEOUT_MS });
  });
  const deck = deckOf(mix);
  const givenUp = new AbortController();
  let stopped = false;
  let tasks = 0;

  const tell = async (number: number): Promise<void> => {
    const choices = random.fork();
    while (!stopped) {
      const client = clients[number % clients.length];
      if (client === undefined) return;
      const stage: Stage = {
        name: `c${number}`,
        client,
        clients,
        journal,
        random: choices.fork(),
        newTaskId: () => `${options.prefix}-${(tasks += 1)}`,
        signal: givenUp.signal,
      };
      await choices.pick(deck)(stage);
    }
  };
  const told = Promise.all(Array.from({ length: stories }, (_, i) => tell(i)));
  told.catch((error: unknown) => journal.complaints.push(`the workload itself failed: ${String(error)}`));

  return {
    journal,
    clients,
    async finish(limitMs) {
      stopped = true;
      const timer = setTimeout(() => givenUp.abort(), limitMs);
      await told.catch(() => undefined);
      clearTimeout(timer);
      return { open: journal.open, errors: journal.errors };
    },
    async [Symbol.asyncDispose]() {
      stopped = true;
      givenUp.abort();
      await told.catch(() => undefined);
      for (const client of clients) await client[Symbol.asyncDispose]();
    },
  };
}

function deckOf(mix: Mix): readonly Scenario[] {
  const all: Readonly<Record<string, Scenario>> = scenarios;
  return Object.entries(mix).flatMap(([name, weight]) => {
    const scenario = all[name];
    return scenario === undefined ? [] : Array.from({ length: weight ?? 0 }, () => scenario);
  });
}
