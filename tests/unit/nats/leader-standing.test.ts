// When a stream's leader is believed, by what it says of itself.
import { expect, test } from "vitest";
import { type LeaderInfo, standingOf } from "../../../lib/nats/leader-standing.ts";

const NOW = "2026-01-01T00:01:00.5Z";
const LONG_AGO = "2026-01-01T00:00:00Z";
const JUST_NOW = "2026-01-01T00:00:59Z";

const cluster = (since: string, ...activeMs: readonly number[]): LeaderInfo => ({
  ts: NOW,
  cluster: { leader_since: since, replicas: activeMs.map((ms) => ({ active: ms * 1e6 })) },
});

test.for([
  ["a server without a cluster", { ts: NOW }, "sure"],
  ["a stream of one replica in a cluster", cluster(JUST_NOW), "sure"],
  ["a leader that hears of all others", cluster(LONG_AGO, 10, 900), "sure"],
  ["a leader that hears of one of two others", cluster(LONG_AGO, 900, 60_000), "sure"],
  ["a leader that hears of two of four others", cluster(LONG_AGO, 900, 60_000, 3, 60_000), "sure"],
  ["a leader of which another one may not know yet", cluster(JUST_NOW, 10, 900), "contested"],
  ["a leader elected 25 s ago", cluster("2026-01-01T00:00:35.5Z", 10, 900), "contested"],
  ["a leader elected longer ago", cluster("2026-01-01T00:00:35.4Z", 10, 900), "sure"],
  ["a leader that does not say since when", { ts: NOW, cluster: { replicas: [{ active: 1 }] } }, "contested"],
  ["a server that knows of no leader", { error: { code: 503, err_code: 10008 } }, "deposed"],
  ["a leader that hears of nobody", cluster(LONG_AGO, 2_100, 60_000), "deposed"],
  ["a leader that hears of one of four others", cluster(LONG_AGO, 900, 60_000, 60_000, 60_000), "deposed"],
  [
    "a leader that never heard of others",
    { ts: NOW, cluster: { leader_since: LONG_AGO, replicas: [{}, {}] } },
    "deposed",
  ],
] as const)("%s", ([, info, standing]) => {
  expect(standingOf(info)).toBe(standing);
});
