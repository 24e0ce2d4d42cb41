// The agent of the benchmark as a process: its handler does nothing, at once.
// Usage: node bench/contenders/mesh/agent.ts COORDINATOR_URL AGENT_ID

import { createLogger } from "../../../lib/telemetry/logging.ts";
import { defineAgent, runAgent } from "../../../sdk/agent/index.ts";
import { askedToStop, sayReady } from "../../support/process.ts";
import { QUEUES, WORKER_CONCURRENCY } from "../../support/contender.ts";

const [url = "", agentId = ""] = process.argv.slice(2);
const definition = defineAgent({
  name: "bench",
  concurrency: WORKER_CONCURRENCY,
  capabilities: { [QUEUES.served]: () => undefined },
});
const stop = askedToStop();
const logger = createLogger({ name: "bench-agent", level: "warn", pretty: false });
const agent = await runAgent(definition, { url, agentId, logger, handleSignals: false });
sayReady();
await stop;
await agent.drain({ graceMs: 1_000 });
process.exit(0);
