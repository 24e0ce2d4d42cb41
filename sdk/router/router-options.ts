// The options of a router: what they mean, their defaults, and their check.
import type { Clock } from "../../lib/core/clock.ts";
import { MAX_CONCURRENCY } from "../../lib/core/limits.ts";
import { type Logger, silentLogger } from "../../lib/core/logger.ts";
import { AgentError, type Capability, defineAgent, type Handler } from "../agent/index.ts";
import { within } from "../client/client-options.ts";
import type { MycelClient } from "../client/index.ts";
import { invalidOption } from "../client/mycel-error.ts";
import { defaultRules } from "./default-rules.ts";
import { agentsLoad, type LoadReader } from "./mesh-load.ts";
import { checkRules } from "./rule-check.ts";
import type { Rule } from "./rule.ts";

/** What a router needs of a client. */
export type RoutedClient = Pick<MycelClient, "run" | "agents" | "health" | "breakers" | "downloadBlob" | "blobs">;

/** Options of `createRouter`. */
export interface RouterOptions {
  /** The way to the mesh. It stays the caller's: disposing the router does not dispose it. */
  readonly client: RoutedClient;
  /** What can run in this process, by task type: the handlers of an agent as they are, or its `capabilities`. */
  readonly handlers: Readonly<Record<string, Handler | Capability>> | ReadonlyMap<string, Capability>;
  /** By which a task runs here or in the mesh, the first that applies decides. Default: `defaultRules()`. */
  readonly rules?: readonly Rule[];
  /** Tells the load of the mesh for a type, 0 for idle, 1 for every slot taken. Default: by the agents' last heartbeats. */
  readonly load?: LoadReader;
  /** How many attempts run in this process at once. From 1 to 1,000; default 4. */
  readonly concurrency?: number;
  /** How many tasks more may be under way here, waiting for their turn or their next attempt. From 0 to 1,000,000; default 100. */
  readonly waiting?: number;
  /**
   * How long the mesh may take to accept a task that could run here as well, in milliseconds. From 1 to 86,400,000; default 5,000. A task
   * that can run only there is given as long as the client has patience.
   */
  readonly submitTimeoutMs?: number;
  /** Where handlers log that run here. Default: silent. */
  readonly logger?: Logger;
  /** Where time comes from. Default: the machine. */
  readonly clock?: Clock;
}

/** The options with their defaults filled in. */
export interface ResolvedRouterOptions {
  readonly client: RoutedClient;
  readonly handlers: ReadonlyMap<string, Capability>;
  readonly rules: readonly Rule[];
  readonly load: LoadReader;
  readonly concurrency: number;
  readonly waiting: number;
  readonly submitTimeoutMs: number;
  readonly logger: Logger;
  readonly clock: Clock;
}

const SYSTEM_CLOCK: Clock = { now: () => Date.now(), monotonicMs: () => performance.now() };
// As many as fit beside the process's own work.
const DEFAULT_CONCURRENCY = 4;
const DEFAULT_WAITING = 100;
const DEFAULT_SUBMIT_TIMEOUT_MS = 5_000;

/** Fills in the defaults. Throws a MycelError (INVALID_OPTION). */
export function resolveRouterOptions(options: RouterOptions): ResolvedRouterOptions {
  const { client, clock = SYSTEM_CLOCK } = options;
  return {
    client,
    handlers: handlersOf(options.handlers),
    rules: checkRules(options.rules ?? defaultRules()),
    load: options.load ?? agentsLoad(client, clock),
    concurrency: Math.floor(within("concurrency", options.concurrency ?? DEFAULT_CONCURRENCY, 1, MAX_CONCURRENCY)),
    waiting: Math.floor(within("waiting", options.waiting ?? DEFAULT_WAITING, 0, 1_000_000)),
    submitTimeoutMs: within("submitTimeoutMs", options.submitTimeoutMs ?? DEFAULT_SUBMIT_TIMEOUT_MS, 1, 86_400_000),
    logger: options.logger ?? silentLogger,
    clock,
  };
}

function handlersOf(handlers: RouterOptions["handlers"]): ReadonlyMap<string, Capability> {
  const capabilities = isMap(handlers) ? Object.fromEntries(handlers) : handlers;
  // A router without any sends everything to the mesh; an agent without any is none.
  if (Object.keys(capabilities).length === 0) return new Map();
  try {
    return defineAgent({ name: "router", capabilities }).capabilities;
  } catch (error) {
    if (error instanceof AgentError) throw invalidOption("handlers", `are not as an agent's: ${error.message}`, error);
    throw error;
  }
}

function isMap(handlers: RouterOptions["handlers"]): handlers is ReadonlyMap<string, Capability> {
  return handlers instanceof Map;
}
