// The stock agent as a process: the environment is read here, and nowhere else.

import process from "node:process";
import { ConfigError } from "../../lib/config/config-error.ts";
import { environmentOf } from "../../lib/config/configured-secrets.ts";
import * as inferenceKeys from "../../lib/config/keys/inference.ts";
import { logLevel } from "../../lib/config/keys/shared.ts";
import { WORKER_KEYS } from "../../lib/config/keys/tables.ts";
import { openProcessSettings } from "../../lib/config/process-settings.ts";
import { clientTracing } from "../../lib/rpc/interceptors/tracing.ts";
import { Redactor } from "../../lib/secrets/redactor.ts";
import { SecretError } from "../../lib/secrets/secret-error.ts";
import { createLogger } from "../../lib/telemetry/logging.ts";
import { openMetrics } from "../../lib/telemetry/metrics.ts";
import { openTracing } from "../../lib/telemetry/tracing.ts";
import { AgentError, runAgent } from "../../sdk/agent/index.ts";
import { stopSignal } from "../stop-signal.ts";
import { openModelProviders } from "./inference/model-providers.ts";
import { readInferenceSettings } from "./inference/provider-settings.ts";
import { accessOf } from "./access.ts";
import { configOf } from "./config.ts";
import { stockAgent } from "./stock-agent.ts";

const EXIT_USAGE = 2;
const redactor = new Redactor();
const clean = (text: string): string => redactor.clean(text);

/** Runs until SIGINT or SIGTERM, then drains; a second signal ends it at once. */
async function main(): Promise<void> {
  await using own = await openProcessSettings({
    args: process.argv.slice(2),
    env: process.env,
    keys: WORKER_KEYS,
    redactor,
    createLogger: (settings) => createLogger({ name: "agent", level: settings.get(logLevel), clean }),
  });
  const { settings, secrets, logger, telemetryEnv: env } = own;
  const config = configOf(settings);
  await using _tracing = await openTracing({ serviceName: "mycel-agent", env });
  await using _metrics = await openMetrics({ serviceName: "mycel-agent", env });
  const inference = readInferenceSettings(await environmentOf(settings, Object.values(inferenceKeys), secrets));
  await using models = await openModelProviders(inference);
  const definition = stockAgent({
    name: config.name,
    concurrency: config.concurrency,
    allowedRoots: config.allowedRoots,
    allowPrivate: config.outboundAllow,
    models,
    // Says to `mycel doctor` why the agent offers no inference.
    labels: { inference: inference.summary },
  });
  const agent = await runAgent(definition, {
    ...(await accessOf(settings, secrets)),
    urls: config.urls,
    logger,
    interceptors: [clientTracing()],
    handleSignals: false,
    ...(config.agentId === undefined ? {} : { agentId: config.agentId }),
  });
  const stopped = stopSignal();
  logger.info({ agent_id: agent.agentId }, "ready");
  await Promise.race([stopped, agent.done]);
  await agent.drain();
  if (agent.refusal !== undefined) throw agent.refusal;
}

try {
  await main();
  process.exit(0);
} catch (error) {
  const isUsage = error instanceof ConfigError || (error instanceof AgentError && error.code === "INVALID_OPTION");
  const isForeseen = isUsage || [AgentError, RangeError, SecretError].some((kind) => error instanceof kind);
  process.stderr.write(`mycel agent: ${clean(isForeseen && error instanceof Error ? error.message : String(error))}\n`);
  process.exit(isUsage ? EXIT_USAGE : 1);
}
