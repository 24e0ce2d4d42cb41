// The settings of how fast callers may come, and of what a connection may cost. One entry a key; the order is that of the reference.
import { readPeerAllowList } from "../../rpc/listener/peer-allow-list.ts";
import type { Key } from "../key.ts";
import { integer, list, oneOf } from "../kinds.ts";

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
  doc: "How many calls with a bad credential an address may make in a minute before all its calls are refused for the rest of it; 0 for any number.",
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
