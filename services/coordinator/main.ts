// The coordinator as a process: the environment is read here, and nowhere else.

import process from "node:process";
import type { Logger } from "../../lib/core/logger.ts";
import { NatsUnavailableError } from "../../lib/nats/connection.ts";
import { ListenError } from "../../lib/rpc/listener/listen-error.ts";
import { createLogger } from "../../lib/telemetry/logging.ts";
import { openTracing } from "../../lib/telemetry/tracing.ts";
import { ConfigError, readConfig } from "./config.ts";
import { openCoordinator } from "./coordinator.ts";

const EXIT_USAGE = 2;

/** Runs until SIGINT or SIGTERM; a second signal ends it at once. */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const logger = createLogger({ name: "coordinator", level: config.logLevel });
  await using _tracing = await openTracing({ serviceName: "mycel-coordinator", env: process.env });
  const coordinator = await openCoordinator({ config, logger });
  logger.info({ url: coordinator.url, nats: config.natsUrls.join(",") }, "ready");
  await stopSignal(logger);
  logger.info({ drain_ms: config.drainMs }, "draining");
  await coordinator[Symbol.asyncDispose]();
  logger.info({}, "stopped");
}

function stopSignal(logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const stop = (): void => {
      if (asked) {
        logger.warn({}, "stopped at once");
        process.exit(1);
      }
      asked = true;
      resolve();
    };
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  });
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
