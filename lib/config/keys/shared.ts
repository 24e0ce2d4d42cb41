// The settings that coordinators and stock agents have in common. One entry a key.
import { readAllowList } from "../../outbound/allow-list.ts";
import type { Key } from "../key.ts";
import { list, oneOf } from "../kinds.ts";

const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

export const logLevel: Key<(typeof LEVELS)[number]> = oneOf(LEVELS, {
  path: "log.level",
  variable: "MYCEL_LOG_LEVEL",
  fallback: "info",
  doc: "The least severe level that is logged.",
});

export const outboundAllow: Key<readonly string[]> = list({
  path: "outbound.allow",
  variable: "MYCEL_OUTBOUND_ALLOW",
  fallback: [],
  allowed: "a list of ranges in CIDR form, addresses, host names or `*.name`",
  doc:
    "What webhooks, and the stock agent's `webhook` and `health-check` tasks, may reach beyond public addresses: ranges (`10.0.0.0/8`), " +
    "addresses, host names, `*.svc.cluster.local`. Cloud metadata services only by their exact address.",
  check(entries) {
    try {
      readAllowList(entries);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new RangeError(error.message.replace(/^allowPrivate(?: \(\w+\))? /, ""));
    }
  },
});
