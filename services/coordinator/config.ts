// The coordinator's settings: from the environment, checked, with every default in one place.

import {
  DEFAULT_LEASE_MS,
  DEFAULT_MAX_START_TO_CLOSE_MS,
  DEFAULT_QUEUE_DEPTH_LIMIT,
  DEFAULT_RETENTION_MS,
  MAX_WAIT_MS,
} from "../../lib/core/limits.ts";
import { readAllowList } from "../../lib/outbound/allow-list.ts";

/** Everything that an operator can set. */
export interface CoordinatorConfig {
  /** The address to listen on. `MYCEL_LISTEN`, e.g. `127.0.0.1:8080`; port 0 picks a free one. */
  readonly host: string;
  /** See `host`. */
  readonly port: number;
  /** Where NATS is. `NATS_URL`, comma-separated. */
  readonly natsUrls: readonly string[];
  /** Where agents reach NATS, if not by the same URLs. `MYCEL_AGENT_NATS_URL`, comma-separated. */
  readonly agentNatsUrls: readonly string[];
  /** How many servers keep each message. `MYCEL_REPLICAS`: 1, 3 or 5. */
  readonly replicas: number;
  /** How long the log is kept. `MYCEL_RETENTION`, in milliseconds or as `7d`. */
  readonly retentionMs: number;
  /**
   * The most bytes of each of the task, output and blob streams; -1 for no limit. If unset, what the servers have room for when the streams
   * are made. `MYCEL_MAX_BYTES`.
   */
  readonly maxBytes: number | undefined;
  /** The lease of a delivery. `MYCEL_LEASE`. */
  readonly leaseMs: number;
  /** How often agents say that they live. `MYCEL_HEARTBEAT`. */
  readonly heartbeatMs: number;
  /** How deep a queue may get. `MYCEL_QUEUE_LIMIT`. */
  readonly queueDepthLimit: number;
  /** How many queues there may be. `MYCEL_MAX_QUEUES`. */
  readonly maxQueues: number;
  /** The longest start_to_close that a submission may ask for. `MYCEL_MAX_START_TO_CLOSE`. */
  readonly maxStartToCloseMs: number;
  /** The folder for what can be rebuilt; in memory if empty. `MYCEL_DATA_DIR`. */
  readonly dataDir: string;
  /** How long running calls may go on after SIGTERM. `MYCEL_DRAIN`. */
  readonly drainMs: number;
  /** Origins that browsers may call from, comma-separated, or `*`. `MYCEL_CORS_ORIGINS`. */
  readonly corsOrigins: readonly string[];
  /** What webhooks may reach beyond public addresses: ranges, addresses and names, comma-separated. `MYCEL_OUTBOUND_ALLOW`. */
  readonly outboundAllow: readonly string[];
  /** `MYCEL_LOG_LEVEL`. */
  readonly logLevel: string;
}

/** A setting is not as it must be. The message is one line for the operator. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

type Env = Readonly<Record<string, string | undefined>>;

/** Reads the settings. Throws ConfigError. */
export function readConfig(env: Env): CoordinatorConfig {
  const listen = env["MYCEL_LISTEN"] ?? "127.0.0.1:8080";
  const [host, port] = splitAddress(listen);
  const natsUrls = list(env["NATS_URL"] ?? "nats://127.0.0.1:4222");
  const agentUrls = list(env["MYCEL_AGENT_NATS_URL"] ?? "");
  const retentionMs = duration(env, "MYCEL_RETENTION", DEFAULT_RETENTION_MS, 60_000, 10 * 365 * 86_400_000);
  const leaseMs = duration(env, "MYCEL_LEASE", DEFAULT_LEASE_MS, 500, 3_600_000);
  const config: CoordinatorConfig = {
    host,
    port,
    natsUrls,
    agentNatsUrls: agentUrls.length === 0 ? natsUrls : agentUrls,
    replicas: integer(env, "MYCEL_REPLICAS", 1, 1, 5),
    retentionMs,
    maxBytes: maxBytesIn(env),
    leaseMs,
    heartbeatMs: duration(env, "MYCEL_HEARTBEAT", 5_000, 100, 60_000),
    queueDepthLimit: integer(env, "MYCEL_QUEUE_LIMIT", DEFAULT_QUEUE_DEPTH_LIMIT, 1, 100_000_000),
    maxQueues: integer(env, "MYCEL_MAX_QUEUES", 1_000, 1, 25_000),
    maxStartToCloseMs: duration(env, "MYCEL_MAX_START_TO_CLOSE", DEFAULT_MAX_START_TO_CLOSE_MS, 1_000, MAX_WAIT_MS),
    dataDir: env["MYCEL_DATA_DIR"] ?? "",
    drainMs: duration(env, "MYCEL_DRAIN", 10_000, 0, 3_600_000),
    corsOrigins: list(env["MYCEL_CORS_ORIGINS"] ?? ""),
    outboundAllow: outboundAllowIn(env),
    logLevel: env["MYCEL_LOG_LEVEL"] ?? "info",
  };
  if (![1, 3, 5].includes(config.replicas))
    throw new ConfigError(`MYCEL_REPLICAS must be 1, 3 or 5, is ${config.replicas}`);
  return config;
}

/** The longest wait that a submission may ask for: it must end before its log does. */
export function maxWaitMsOf(config: CoordinatorConfig): number {
  return Math.min(MAX_WAIT_MS, Math.floor((config.retentionMs * 6) / 7));
}

/** How long an agent stays registered without a heartbeat. */
export function agentTtlMsOf(config: CoordinatorConfig): number {
  return Math.max(config.heartbeatMs * 6, 2_000);
}

/** Reads `host:port`, `[v6]:port`, `:port` or a port alone. Throws ConfigError. */
export function splitAddress(text: string): readonly [string, number] {
  const match = /^(?:(?:\[(?<v6>[^\]]+)\]|(?<host>[^:[\]]*)):)?(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.["port"] ?? Number.NaN);
  if (match === null || port > 65_535) {
    throw new ConfigError(`${JSON.stringify(text)} is not an address: use host:port, e.g. 127.0.0.1:8080`);
  }
  return [match.groups?.["v6"] || match.groups?.["host"] || "127.0.0.1", port];
}

function list(text: string): readonly string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function outboundAllowIn(env: Env): readonly string[] {
  const name = "MYCEL_OUTBOUND_ALLOW";
  const entries = list(env[name] ?? "");
  try {
    readAllowList(entries);
    return entries;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ConfigError(error.message.replace(/^allowPrivate(?: \(\w+\))?/, name));
  }
}

/** The least that a log can be of use with. */
const MIN_MAX_BYTES: number = 1024 * 1024;

function maxBytesIn(env: Env): number | undefined {
  const name = "MYCEL_MAX_BYTES";
  if ((env[name] ?? "") === "") return undefined;
  return env[name] === "-1" ? -1 : integer(env, name, -1, MIN_MAX_BYTES, Number.MAX_SAFE_INTEGER);
}

function integer(env: Env, name: string, fallback: number, min: number, max: number): number {
  const text = env[name];
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new ConfigError(`${name} must be a whole number from ${min} to ${max}, is ${JSON.stringify(text)}`);
  }
  return value;
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function duration(env: Env, name: string, fallback: number, min: number, max: number): number {
  const text = env[name];
  if (text === undefined || text === "") return fallback;
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const value = match === null ? Number.NaN : Number(match[1]) * (UNITS[match[2] ?? "ms"] ?? 1);
  if (!(value >= min && value <= max)) {
    throw new ConfigError(
      `${name} must be a duration from ${min} ms to ${max} ms, e.g. 30s, is ${JSON.stringify(text)}`,
    );
  }
  return value;
}
