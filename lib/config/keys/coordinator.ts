// The settings of a coordinator alone. One entry a key.
import {
  DEFAULT_LEASE_MS,
  DEFAULT_MAX_START_TO_CLOSE_MS,
  DEFAULT_QUEUE_DEPTH_LIMIT,
  MAX_WAIT_MS,
} from "../../core/limits.ts";
import type { Address } from "../address.ts";
import type { Key } from "../key.ts";
import { address, duration, folder, integer, list } from "../kinds.ts";

export const listen: Key<Address> = address({
  path: "coordinator.listen",
  variable: "MYCEL_LISTEN",
  fallback: { host: "127.0.0.1", port: 8080 },
  doc: "Where to listen; port 0 picks a free one.",
});

export const leaseMs: Key<number> = duration({
  path: "coordinator.lease",
  variable: "MYCEL_LEASE",
  fallback: DEFAULT_LEASE_MS,
  min: 500,
  max: 3_600_000,
  doc: "How long a silent agent keeps its work.",
});

export const heartbeatMs: Key<number> = duration({
  path: "coordinator.heartbeat",
  variable: "MYCEL_HEARTBEAT",
  fallback: 5_000,
  min: 100,
  max: 60_000,
  doc: "How often agents say that they live.",
});

export const queueDepthLimit: Key<number> = integer({
  path: "coordinator.queueLimit",
  variable: "MYCEL_QUEUE_LIMIT",
  fallback: DEFAULT_QUEUE_DEPTH_LIMIT,
  min: 1,
  max: 100_000_000,
  doc: "How many tasks may wait or run in a queue before submissions are refused.",
});

export const maxQueues: Key<number> = integer({
  path: "coordinator.maxQueues",
  variable: "MYCEL_MAX_QUEUES",
  fallback: 1_000,
  min: 1,
  max: 25_000,
  doc: "How many queues there may be.",
});

export const maxStartToCloseMs: Key<number> = duration({
  path: "coordinator.maxStartToClose",
  variable: "MYCEL_MAX_START_TO_CLOSE",
  fallback: DEFAULT_MAX_START_TO_CLOSE_MS,
  min: 1_000,
  max: MAX_WAIT_MS,
  doc: "The longest attempt that a submission may ask for.",
});

export const dataDir: Key<string | undefined> = folder({
  path: "coordinator.dataDir",
  variable: "MYCEL_DATA_DIR",
  fallback: undefined,
  fallbackText: "in memory",
  doc: "The folder of the index, which can be rebuilt at any time; set it where hundreds of thousands of tasks are kept.",
});

export const drainMs: Key<number> = duration({
  path: "coordinator.drain",
  variable: "MYCEL_DRAIN",
  fallback: 10_000,
  min: 0,
  max: 3_600_000,
  doc: "How long running calls may go on after SIGTERM.",
});

export const corsOrigins: Key<readonly string[]> = list({
  path: "coordinator.corsOrigins",
  variable: "MYCEL_CORS_ORIGINS",
  fallback: [],
  allowed: "a list of origins",
  doc: "Web origins that browsers may call from, or `*` for all.",
});

export const hosts: Key<readonly string[]> = list({
  path: "coordinator.hosts",
  variable: "MYCEL_HOSTS",
  fallback: [],
  allowed: "a list of host names",
  doc: "Names beside localhost by which HTTP clients may call a coordinator that asks nobody who they are; against web pages whose names resolve to this machine.",
});
