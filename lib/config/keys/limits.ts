// The settings of how fast callers may come, and of what a connection may cost. One entry a key; the order is that of the reference.
import { readPeerAllowList } from "../../rpc/listener/peer-allow-list.ts";
import type { Key } from "../key.ts";
import { bytes, duration, integer, list, oneOf } from "../kinds.ts";

/** Whether limits of rates are kept. */
export type RateMode = "auto" | "on" | "off";

const MOST = 1_000_000_000;

export const rates: Key<RateMode> = oneOf(["auto", "on", "off"], {
  path: "limits.rates",
  variable: "MYCEL_RATE_LIMITS",
  fallback: "auto",
  doc: "Whether the limits a minute hold; auto: unless the coordinator listens on loopback. Each coordinator counts for itself.",
});

export const requestsPerAddress: Key<number> = integer({
  path: "limits.requestsPerAddress",
  variable: "MYCEL_LIMIT_REQUESTS",
  fallback: 100,
  min: 0,
  max: MOST,
  doc: "How many requests a minute one address may make, of IPv6 one /64 network; 0 for any number. Health checks don't count.",
});

export const badCredentialsPerAddress: Key<number> = integer({
  path: "limits.badCredentialsPerAddress",
  variable: "MYCEL_LIMIT_BAD_CREDENTIALS",
  fallback: 20,
  min: 0,
  max: MOST,
  doc: "How many calls with a bad credential an address may make in a minute; further ones are told to come again later. Good ones are let in. 0 for any number.",
});

export const tasksPerPrincipal: Key<number> = integer({
  path: "limits.tasksPerPrincipal",
  variable: "MYCEL_LIMIT_TASKS",
  fallback: 1_000,
  min: 0,
  max: MOST,
  doc: "How many tasks a minute one caller may submit, each task of a batch or a stream counted; 0 for any number.",
});

export const tasksPerTenant: Key<number> = integer({
  path: "limits.tasksPerTenant",
  variable: "MYCEL_LIMIT_TENANT_TASKS",
  fallback: 0,
  min: 0,
  max: MOST,
  doc: "How many tasks a minute all callers of one tenant may submit together; 0 for any number.",
});

export const trustedProxies: Key<readonly string[]> = list({
  path: "limits.trustedProxies",
  variable: "MYCEL_TRUSTED_PROXIES",
  fallback: [],
  allowed: "a list of IP addresses and ranges, e.g. 10.0.0.0/8",
  check: (entries) => void readPeerAllowList(entries),
  doc: "Proxies whose x-forwarded-for says where a call comes from, for these limits and the audit log.",
});

export const maxConnections: Key<number> = integer({
  path: "limits.maxConnections",
  variable: "MYCEL_LIMIT_CONNECTIONS",
  fallback: 8_192,
  min: 1,
  max: 1_000_000,
  doc: "How many connections may be open; one more is closed at once.",
});

export const maxConnectionsPerAddress: Key<number | undefined> = integer({
  path: "limits.maxConnectionsPerAddress",
  variable: "MYCEL_LIMIT_ADDRESS_CONNECTIONS",
  fallback: undefined,
  fallbackText: "as many as limits.maxConnections",
  min: 1,
  max: 1_000_000,
  doc: "How many of them may come from one address; leave it where all callers come through one proxy.",
});

export const maxStreams: Key<number> = integer({
  path: "limits.maxStreams",
  variable: "MYCEL_LIMIT_STREAMS",
  fallback: 1_000,
  min: 1,
  max: 100_000,
  doc: "How many calls one HTTP/2 connection may carry at a time.",
});

export const maxHeaderBytes: Key<number> = bytes({
  path: "limits.maxHeaderBytes",
  variable: "MYCEL_LIMIT_HEADER_BYTES",
  fallback: 16_384,
  min: 1_024,
  max: 1_048_576,
  doc: "How large the headers of a request may be.",
});

export const idleTimeoutMs: Key<number> = duration({
  path: "limits.idleTimeout",
  variable: "MYCEL_LIMIT_IDLE",
  fallback: 1_800_000,
  min: 1_000,
  max: 2_000_000_000,
  doc: "How long an HTTP/2 connection is kept that carries no call.",
});

export const sendTimeoutMs: Key<number> = duration({
  path: "limits.sendTimeout",
  variable: "MYCEL_LIMIT_SEND",
  fallback: 60_000,
  min: 1_000,
  max: 3_600_000,
  doc: "How long a peer may read nothing while at least 4MiB wait for it, before it is cut off.",
});

export const maxUnsentBytes: Key<number> = bytes({
  path: "limits.maxUnsentBytes",
  variable: "MYCEL_LIMIT_UNSENT_BYTES",
  fallback: 536_870_912,
  min: 1_048_576,
  max: 1_099_511_627_776,
  doc: "How much may wait to be read by all peers together; beyond that, those for whom most waits are cut off.",
});
