// The coordinator as a process: the environment is read here, and nowhere else.

import process from "node:process";
import { configPathOf } from "../../lib/config/command-line.ts";
import { ConfigError } from "../../lib/config/config-error.ts";
import { ALL_KEYS, COORDINATOR_KEYS } from "../../lib/config/keys/tables.ts";
import { loadSettings } from "../../lib/config/settings.ts";
import { NatsUnavailableError } from "../../lib/nats/connection.ts";
import { ListenError } from "../../lib/rpc/listener/listen-error.ts";
import { createLogger } from "../../lib/telemetry/logging.ts";
import { openTracing } from "../../lib/telemetry/tracing.ts";
import { configOf } from "./config.ts";
import { stopSignal } from "../stop-signal.ts";
import { openCoordinator } from "./coordinator.ts";

const EXIT_USAGE = 2;

/** Runs until SIGINT or SIGTERM; a second signal ends it at once. */
async function main(): Promise<void> {
  const { env } = process;
  const path = configPathOf(process.argv.slice(2), env);
  const config = configOf(await loadSettings({ path, env, keys: COORDINATOR_KEYS, known: ALL_KEYS }));
  const logger = createLogger({ name: "coordinator", level: config.logLevel });
  await using _tracing = await openTracing({ serviceName: "mycel-coordinator", env });
  const coordinator = await openCoordinator({ config, logger });
  const stopped = stopSignal();
  logger.info({ url: coordinator.url, nats: config.natsUrls.join(",") }, "ready");
  await stopped;
  logger.info({ drain_ms: config.drainMs }, "draining");
  await coordinator[Symbol.asyncDispose]();
  logger.info({}, "stopped");
}

try {
  await main();
  process.exit(0);
} catch (error) {
  const isUsage = error instanceof ConfigError || error instanceof ListenError || error instanceof RangeError;
  const isForeseen = isUsage || error instanceof NatsUnavailableError;
  process.stderr.write(isForeseen ? `mycel coordinator: ${error.message}\n` : `mycel coordinator: ${String(error)}\n`);
  process.exit(isUsage ? EXIT_USAGE : 1);
}
