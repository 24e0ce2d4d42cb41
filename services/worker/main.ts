// The stock agent as a process: the environment is read here, and nowhere else.

import { delimiter } from "node:path";
import process from "node:process";
import { clientTracing } from "../../lib/rpc/interceptors/tracing.ts";
import { createLogger } from "../../lib/telemetry/logging.ts";
import { openMetrics } from "../../lib/telemetry/metrics.ts";
import { openTracing } from "../../lib/telemetry/tracing.ts";
import { AgentError, runAgent } from "../../sdk/agent/index.ts";
import { stopSignal } from "../stop-signal.ts";
import { withKeyFiles } from "./inference/key-files.ts";
import { openModelProviders } from "./inference/model-providers.ts";
import { KEY_VARIABLES, readInferenceSettings } from "./inference/provider-settings.ts";
import { stockAgent } from "./stock-agent.ts";

const EXIT_USAGE = 2;
const DEFAULT_CONCURRENCY = 4;

/** Runs until SIGINT or SIGTERM, then drains; a second signal ends it at once. */
async function main(): Promise<void> {
  const { env } = process;
  const logger = createLogger({ name: "agent", level: env["MYCEL_LOG_LEVEL"] });
  await using _tracing = await openTracing({ serviceName: "mycel-agent", env });
  await using _metrics = await openMetrics({ serviceName: "mycel-agent", env });
  const inference = readInferenceSettings(await withKeyFiles(env, KEY_VARIABLES));
  await using models = await openModelProviders(inference);
  const definition = stockAgent({
    name: env["MYCEL_AGENT_NAME"] ?? "stock",
    concurrency: Number(env["MYCEL_CONCURRENCY"] ?? DEFAULT_CONCURRENCY),
    allowedRoots: (env["MYCEL_ALLOWED_ROOTS"] ?? "").split(delimiter).filter((root) => root !== ""),
    allowPrivate: (env["MYCEL_OUTBOUND_ALLOW"] ?? "").split(",").filter((entry) => entry.trim() !== ""),
    models,
    // Says to `mycel doctor` why the agent offers no inference.
    labels: { inference: inference.summary },
  });
  const agent = await runAgent(definition, {
    urls: (env["MYCEL_URL"] ?? "http://127.0.0.1:8080").split(","),
    logger,
    interceptors: [clientTracing()],
    handleSignals: false,
    ...(env["MYCEL_AGENT_ID"] === undefined ? {} : { agentId: env["MYCEL_AGENT_ID"] }),
  });
  const stopped = stopSignal();
  logger.info({ agent_id: agent.agentId }, "ready");
  await Promise.race([stopped, agent.done]);
  await agent.drain();
}

try {
  await main();
  process.exit(0);
} catch (error) {
  const isForeseen = error instanceof AgentError || error instanceof RangeError;
  process.stderr.write(isForeseen ? `mycel agent: ${error.message}\n` : `mycel agent: ${String(error)}\n`);
  process.exit(error instanceof AgentError && error.code === "INVALID_OPTION" ? EXIT_USAGE : 1);
}
