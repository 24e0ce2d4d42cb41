// Owns what may be set when an agent is run: names, units, defaults and ranges, resolved once.
import type { Interceptor } from "@connectrpc/connect";
import type { NatsTlsOptions } from "../../lib/nats/nats-tls.ts";
import { openClientTls } from "../../lib/tls/client-tls.ts";
import { isName, NAME_ALPHABET } from "../../lib/core/names.ts";
import type { Logger } from "../../lib/core/logger.ts";
import { type AccessOptions, type ResolvedAccess, resolveAccess } from "../access/access-options.ts";
import { AgentError, inRange } from "./agent-error.ts";
import type { AttemptSettings } from "./attempt-host.ts";
import { consoleLogger } from "./console-logger.ts";

/** How to run an agent. */
export interface RunAgentOptions extends AccessOptions {
  /** A coordinator, e.g. `http://127.0.0.1:8080`. */
  readonly url?: string;
  /** Several coordinators, taken in turn when one does not answer. */
  readonly urls?: readonly string[];
  /**
   * How to speak TLS to NATS; no connection to it is made without, then. Default: as `tls` says, where the coordinators name its servers by
   * `tls:` URLs.
   */
  readonly natsTls?: NatsTlsOptions;
  /** Names the agent within its tenant; the same id renews the same registration. The mesh makes one up if left out. */
  readonly agentId?: string;
  /** Drains the agent when it aborts. */
  readonly signal?: AbortSignal;
  /** Where the agent logs. Warnings and errors on stderr if left out; any pino logger fits. */
  readonly logger?: Logger;
  /** How long to look for a coordinator and NATS at the start. 30,000 ms if left out; Infinity waits for ever. */
  readonly connectTimeoutMs?: number;
  /** How long running handlers may go on after a drain began. 10,000 ms if left out; 0 hands everything back at once. */
  readonly drainGraceMs?: number;
  /** Drain on SIGTERM and SIGINT; a second signal exits with 1. True if left out. */
  readonly handleSignals?: boolean;
  /**
   * Log rejections that nobody handles instead of letting them end the process with all attempts in it. True if left out; does nothing
   * where the process has its own `unhandledRejection` listener.
   */
  readonly containRejections?: boolean;
  /** Connect interceptors for calls to the coordinator. */
  readonly interceptors?: readonly Interceptor[];
  /** An attempt that is not over after this is reported as running. 20 ms if left out; 0 to 60,000. */
  readonly lazyRunningMs?: number;
  /** A delivery that gets no slot within this is handed back. 1,000 ms if left out; 0 to 60,000. */
  readonly holdMs?: number;
  /** How long outputs are gathered before they are sent. 5 ms if left out; 0 to 1,000. */
  readonly coalesceMs?: number;
  /** How long a report or publish may take before it is repeated. 3,000 ms if left out; 50 to 60,000. */
  readonly requestTimeoutMs?: number;
  /** How long a report is repeated while no coordinator takes it. 300,000 ms (5 min) if left out. */
  readonly reportGiveUpMs?: number;
  /**
   * How long a handler that does not stop when told keeps its slot. 60,000 ms if left out. After that the slot is given to others, for
   * at most as many handlers as the agent has slots; beyond that number they keep theirs, so that hung handlers cannot pile up.
   */
  readonly hungMs?: number;
}

/** Options with every default filled in. */
export interface ResolvedOptions extends AttemptSettings {
  readonly urls: readonly string[];
  readonly access: ResolvedAccess;
  /** How to speak TLS to NATS at these URLs. */
  readonly natsTls: (urls: readonly string[]) => NatsTlsOptions | undefined;
  readonly agentId: string;
  readonly signal: AbortSignal | undefined;
  readonly logger: Logger;
  readonly connectTimeoutMs: number;
  readonly drainGraceMs: number;
  readonly handleSignals: boolean;
  readonly containRejections: boolean;
  readonly interceptors: readonly Interceptor[];
  readonly reportGiveUpMs: number;
}

const HOUR_MS = 3_600_000;

/** Checks the options and fills in defaults. Throws {@link AgentError} INVALID_OPTION. */
export function resolveOptions(options: RunAgentOptions): ResolvedOptions {
  const agentId = options.agentId ?? "";
  if (agentId !== "" && !isName(agentId)) {
    throw new AgentError(
      "INVALID_OPTION",
      `agentId is ${JSON.stringify(agentId)}, must be 1 to 64 characters of ${NAME_ALPHABET}`,
    );
  }
  const connectTimeoutMs = options.connectTimeoutMs ?? 30_000;
  const urls = (options.urls ?? (options.url === undefined ? [] : [options.url])).map(checkedUrl);
  const logger = options.logger ?? consoleLogger();
  return {
    urls,
    access: accessOf(options, urls, logger),
    natsTls: natsTlsOf(options),
    agentId,
    signal: options.signal,
    logger,
    connectTimeoutMs:
      connectTimeoutMs === Number.POSITIVE_INFINITY
        ? connectTimeoutMs
        : inRange("connectTimeoutMs", connectTimeoutMs, 1, 24 * HOUR_MS),
    drainGraceMs: inRange("drainGraceMs", options.drainGraceMs ?? 10_000, 0, 24 * HOUR_MS),
    handleSignals: options.handleSignals ?? true,
    containRejections: options.containRejections ?? true,
    interceptors: options.interceptors ?? [],
    lazyRunningMs: inRange("lazyRunningMs", options.lazyRunningMs ?? 20, 0, 60_000),
    holdMs: inRange("holdMs", options.holdMs ?? 1_000, 0, 60_000),
    coalesceMs: inRange("coalesceMs", options.coalesceMs ?? 5, 0, 1_000),
    requestTimeoutMs: inRange("requestTimeoutMs", options.requestTimeoutMs ?? 3_000, 50, 60_000),
    reportGiveUpMs: inRange("reportGiveUpMs", options.reportGiveUpMs ?? 300_000, 0, 24 * HOUR_MS),
    hungMs: inRange("hungMs", options.hungMs ?? 60_000, 0, HOUR_MS),
  };
}

function checkedUrl(url: string): string {
  const parsed = URL.parse(url);
  if (parsed?.protocol === "http:" || parsed?.protocol === "https:") return url;
  throw new AgentError(
    "INVALID_OPTION",
    `url is ${JSON.stringify(url)}, must be an http or https URL like http://127.0.0.1:8080`,
  );
}

function natsTlsOf({ tls, natsTls }: RunAgentOptions): ResolvedOptions["natsTls"] {
  if (natsTls === undefined) return (urls) => (urls.some((url) => url.startsWith("tls:")) ? tls : undefined);
  checked(() => openClientTls(natsTls));
  return () => natsTls;
}

function accessOf(...args: Parameters<typeof resolveAccess>): ResolvedAccess {
  return checked(() => resolveAccess(...args));
}

function checked<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new AgentError("INVALID_OPTION", error.message, { cause: error });
  }
}
