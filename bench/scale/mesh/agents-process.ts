// Agents of a measurement as a process.
// Usage: node bench/scale/mesh/agents-process.ts AGENTS_ORDER

import process from "node:process";
import { createLogger } from "../../../lib/telemetry/logging.ts";
import { openTracing } from "../../../lib/telemetry/tracing.ts";
import { pause } from "../../../lib/time/pause.ts";
import { capability, defineAgent, runAgent, type TaskContext } from "../../../sdk/agent/index.ts";
import { inFlight } from "../../support/in-flight.ts";
import { askedToStop, sayReady } from "../../support/process.ts";
import { type AgentsOrder, type StreamedOrder, TYPES } from "./agents.ts";
import { chunkNow, wallMs } from "./chunk.ts";

const REGISTERING_AT_ONCE = 16;
const DRAIN_GRACE_MS = 1_000;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by the benchmark itself
const { urls, count, prefix, concurrency, types } = JSON.parse(process.argv[2] ?? "") as AgentsOrder;
const streamed = capability({
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by the benchmark itself
  parse: (input) => input as StreamedOrder,
  run: ({ input }, { output, signal }) => stream(input, output, signal),
});
const handlers = { [TYPES.nothing]: () => undefined, [TYPES.streamed]: streamed };
const definition = defineAgent({
  name: "bench",
  concurrency,
  capabilities: Object.fromEntries(types.map((type) => [type, handlers[type]])),
});
const stop = askedToStop();
const logger = createLogger({ name: "bench-agents", level: "warn", pretty: false });
const tracing = await openTracing({ serviceName: "bench-agents", env: process.env });
const agents: Awaited<ReturnType<typeof runAgent>>[] = [];
await inFlight(count, REGISTERING_AT_ONCE, async (i) => {
  agents.push(await runAgent(definition, { urls, agentId: `${prefix}-${i}`, logger, handleSignals: false }));
});
sayReady();
await stop;
await Promise.all(agents.map((agent) => agent.drain({ graceMs: DRAIN_GRACE_MS })));
await tracing[Symbol.asyncDispose]();
process.exit(0);

/** Gives each output when it is due, however late the one before was: whoever is slow must not slow down what is asked of it. */
async function stream(order: StreamedOrder, output: TaskContext["output"], signal: AbortSignal): Promise<void> {
  const { startMs, everyMs, chunks } = order;
  for (let i = 0; i < chunks; i += 1) {
    const earlyMs = startMs + i * everyMs - wallMs();
    if (earlyMs > 0) await pause(earlyMs, signal);
    await output(chunkNow());
  }
}
