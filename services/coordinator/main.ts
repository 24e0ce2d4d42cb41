// The coordinator as a process: the environment is read here, and nowhere else.

import process from "node:process";
import { ConfigError } from "../../lib/config/config-error.ts";
import { logLevel } from "../../lib/config/keys/shared.ts";
import { COORDINATOR_KEYS } from "../../lib/config/keys/tables.ts";
import { openProcessSettings } from "../../lib/config/process-settings.ts";
import { NatsUnavailableError } from "../../lib/nats/connection.ts";
import { TrustError } from "../../lib/nats/trust/trust-folder.ts";
import { ListenError } from "../../lib/rpc/listener/listen-error.ts";
import { Redactor } from "../../lib/secrets/redactor.ts";
import { SecretError } from "../../lib/secrets/secret-error.ts";
import { createLogger } from "../../lib/telemetry/logging.ts";
import { openTracing } from "../../lib/telemetry/tracing.ts";
import { configOf } from "./config.ts";
import { credentialSettingsOf } from "./credential-config.ts";
import { stopSignal } from "../stop-signal.ts";
import { openCoordinator } from "./coordinator.ts";

const EXIT_USAGE = 2;
const redactor = new Redactor();
const clean = (text: string): string => redactor.clean(text);

/** Runs until SIGINT or SIGTERM; a second signal ends it at once. */
async function main(): Promise<void> {
  await using own = await openProcessSettings({
    args: process.argv.slice(2),
    env: process.env,
    keys: COORDINATOR_KEYS,
    redactor,
    createLogger: (settings) => createLogger({ name: "coordinator", level: settings.get(logLevel), clean }),
  });
  const { settings, secrets, logger } = own;
  const config = configOf(settings);
  const credentials = await credentialSettingsOf(settings, secrets);
  for (const url of [...config.natsUrls, ...config.agentNatsUrls]) redactor.addUrl(url);
  await using _tracing = await openTracing({ serviceName: "mycel-coordinator", env: own.telemetryEnv });
  const coordinator = await openCoordinator({ config, credentials, logger });
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
  const isUsage = [ConfigError, ListenError, RangeError, TrustError].some((kind) => error instanceof kind);
  const isForeseen = isUsage || error instanceof NatsUnavailableError || error instanceof SecretError;
  process.stderr.write(
    `mycel coordinator: ${clean(isForeseen && error instanceof Error ? error.message : String(error))}\n`,
  );
  process.exit(isUsage ? EXIT_USAGE : 1);
}
