// The measurements at scale work: each runs, small, on real processes and gives its numbers. How large they are is no test's business.

import { describe, expect, test } from "vitest";
import { SCALE_SCENARIOS } from "../../bench/scale/all.ts";
import { TARGET_FIGURES } from "../../bench/scale/figure.ts";
import { withoutSettings } from "../../bench/support/environment.ts";
import { natsServerBinary } from "../support/nats.ts";

const FIGURES: Readonly<Record<string, readonly string[]>> = {
  backlog: [
    TARGET_FIGURES.backlog,
    "backlog.submit-ratio",
    "backlog.broker",
    "backlog.coordinator",
    "backlog.index",
    "backlog.start",
    "backlog.rebuild",
  ],
  "idle-streams": [
    TARGET_FIGURES.idleStream,
    "idle-streams.heap",
    "idle-streams.broker",
    "idle-streams.cpu",
    "idle-streams.open",
  ],
  tracing: [TARGET_FIGURES.tracing, "tracing.bulk-ratio"],
  "many-agents": [
    "many-agents.coordinator",
    "many-agents.broker",
    "many-agents.agent",
    "many-agents.register",
    "many-agents.latency",
  ],
  "fan-out": ["fan-out.in", "fan-out.out"],
  "streamed-output": ["streamed-output.rate", "streamed-output.p50", "streamed-output.p99"],
  "scale-out": ["scale-out.rate-1", "scale-out.rate-2", "scale-out.ratio-2"],
};

// Side by side: most of the time they wait for processes to come up.
describe.concurrent("at scale", () => {
  test.for(SCALE_SCENARIOS)("$id gives its numbers", { timeout: 180_000 }, async ({ id, measure }) => {
    const environment = { ...withoutSettings(process.env), NATS_SERVER_BIN: await natsServerBinary() };
    const figures = await measure({ environment, quick: true, onProgress: () => undefined });
    expect(figures.map((figure) => figure.id)).toEqual(FIGURES[id]);
    for (const { id, title, value, unit, detail } of figures) {
      expect(Number.isFinite(value), `${id} is ${value}`).toBe(true);
      expect([title, unit, detail], id).not.toContain("");
    }
  });
});
