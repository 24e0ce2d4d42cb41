// The settings that say where NATS is and what it keeps. One entry a key.
import { DEFAULT_RETENTION_MS } from "../../core/limits.ts";
import type { Key } from "../key.ts";
import { bytes, duration, folder, integer, list } from "../kinds.ts";

/** The least that a log can be of use with. */
const MIN_LOG_BYTES: number = 1024 * 1024;
const YEAR_MS = 365 * 86_400_000;

export const urls: Key<readonly string[]> = list({
  path: "nats.urls",
  variable: "NATS_URL",
  fallback: ["nats://127.0.0.1:4222"],
  allowed: "a list of URLs",
  doc: "Where NATS is: all servers of the cluster.",
});

export const agentUrls: Key<readonly string[]> = list({
  path: "nats.agentUrls",
  variable: "MYCEL_AGENT_NATS_URL",
  fallback: [],
  fallbackText: "as nats.urls",
  allowed: "a list of URLs",
  doc: "Where agents reach NATS, if not by the same URLs.",
});

export const trustDir: Key<string | undefined> = folder({
  path: "nats.trust",
  variable: "MYCEL_NATS_TRUST",
  fallback: undefined,
  fallbackText: "none: anybody who reaches NATS may do everything there",
  doc:
    "The `coordinator` folder of what `mycel trust init` made: the coordinator's credentials on NATS, and the keys by which it gives agents " +
    "theirs. Its files are read at the start; the coordinator's own credentials again at each reconnect.",
});

export const agentCredentialMs: Key<number> = duration({
  path: "nats.agentCredential",
  variable: "MYCEL_AGENT_CREDENTIAL",
  fallback: 900_000,
  min: 10_000,
  max: 86_400_000,
  doc:
    "How long an agent's credential for NATS is good, where NATS asks for one. Agents renew theirs when half of it is over, so half of it is " +
    "also for how long all coordinators may be away before agents lose their connection.",
});

export const replicas: Key<number> = integer({
  path: "nats.replicas",
  variable: "MYCEL_REPLICAS",
  fallback: 1,
  min: 1,
  max: 5,
  oneOf: [1, 3, 5],
  doc: "How many servers keep each message.",
});

export const retentionMs: Key<number> = duration({
  path: "nats.retention",
  variable: "MYCEL_RETENTION",
  fallback: DEFAULT_RETENTION_MS,
  min: 60_000,
  max: 10 * YEAR_MS,
  doc: "How long the log is kept.",
});

export const maxBytes: Key<number | undefined> = bytes({
  path: "nats.maxBytes",
  variable: "MYCEL_MAX_BYTES",
  fallback: undefined,
  fallbackText: "by the room there is",
  min: MIN_LOG_BYTES,
  max: Number.MAX_SAFE_INTEGER,
  unlimited: true,
  doc:
    "The most bytes of each of the task, output and blob streams. Unset, it is the largest power of two at which all of them fit into " +
    "JetStream's `max_file_store` with a quarter to spare, chosen when the streams are made and kept from then on.",
});
