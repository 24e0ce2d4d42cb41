// What a configuration file says to `mycel up` itself; the processes that it starts read the file themselves.
import { resolve } from "node:path";
import { ConfigError } from "../../lib/config/config-error.ts";
import { shownAddress } from "../../lib/config/address.ts";
import * as coordinator from "../../lib/config/keys/coordinator.ts";
import * as nats from "../../lib/config/keys/nats.ts";
import { ALL_KEYS } from "../../lib/config/keys/tables.ts";
import * as telemetry from "../../lib/config/keys/telemetry.ts";
import * as worker from "../../lib/config/keys/worker.ts";
import { type Environment, loadSettings } from "../../lib/config/settings.ts";
import { UsageError } from "../failure.ts";
import { harmless } from "../output/terminal.ts";

/** What holds for a mesh on this machine. */
export interface UpConfig {
  /** The environment, with what of the file decides about more than one process. */
  readonly env: Environment;
  /** Where the coordinator listens, if the file or a variable says it. */
  readonly listen: string | undefined;
  /** How many tasks each agent runs at once, if the file or a variable says it. */
  readonly concurrency: number | undefined;
  /** Folders that agents may read. */
  readonly allowedRoots: readonly string[];
}

/** Reads the file that `--config` or MYCEL_CONFIG names. Throws UsageError with every mistake. */
export async function upConfig(config: string | undefined, env: Environment): Promise<UpConfig> {
  const path = config ?? (env["MYCEL_CONFIG"] || undefined);
  // Without a file, whoever a variable is for says what is wrong with it.
  if (path === undefined) {
    return { env, listen: env["MYCEL_LISTEN"] || undefined, concurrency: undefined, allowedRoots: [] };
  }
  const settings = await loadSettings({ path, env, keys: ALL_KEYS }).catch((error: unknown) => {
    throw error instanceof ConfigError ? new UsageError(error.mistakes.map(harmless).join("\n")) : error;
  });
  const isSet = (key: Parameters<typeof settings.sourceOf>[0]): boolean => settings.sourceOf(key) !== undefined;
  const [endpoint, tracesEndpoint] = [settings.get(telemetry.endpoint), settings.get(telemetry.tracesEndpoint)];
  return {
    env: {
      ...env,
      MYCEL_CONFIG: resolve(path),
      ...(isSet(nats.urls) ? { [nats.urls.variable]: settings.get(nats.urls).join(",") } : {}),
      ...(endpoint === undefined ? {} : { [telemetry.endpoint.variable]: endpoint }),
      ...(tracesEndpoint === undefined ? {} : { [telemetry.tracesEndpoint.variable]: tracesEndpoint }),
    },
    listen: isSet(coordinator.listen) ? shownAddress(settings.get(coordinator.listen)) : undefined,
    concurrency: isSet(worker.concurrency) ? settings.get(worker.concurrency) : undefined,
    allowedRoots: settings.get(worker.allowedRoots),
  };
}
