// Owns what every process of the mesh does with its settings before anything else: reads them, makes the logger that hides its secrets, and
// opens the way to them. For main.ts files only.
import type { Logger } from "../core/logger.ts";
import { Redactor } from "../secrets/redactor.ts";
import type { Secrets } from "../secrets/secrets.ts";
import { configPathOf } from "./command-line.ts";
import { environmentOf, openConfiguredSecrets } from "./configured-secrets.ts";
import type { Key } from "./key.ts";
import { ALL_KEYS } from "./keys/tables.ts";
import * as telemetry from "./keys/telemetry.ts";
import { type Environment, loadSettings, type Settings } from "./settings.ts";
import { strangeVariables } from "./strange-variables.ts";

/** What {@link openProcessSettings} needs. */
export interface ProcessSettingsOptions {
  /** What stands behind the process's name on its command line. */
  readonly args: readonly string[];
  readonly env: Environment;
  /** The keys of this process. */
  readonly keys: readonly Key[];
  /** Is told every secret; the same that cleans what the process writes otherwise. */
  readonly redactor: Redactor;
  /** Makes the logger, which cleans each line. */
  readonly createLogger: (settings: Settings) => Logger;
}

/** The settings of a process that runs. Disposing it stops keeping secrets up to date. */
export interface ProcessSettings extends AsyncDisposable {
  readonly settings: Settings;
  readonly secrets: Secrets;
  readonly logger: Logger;
  /** The environment for OpenTelemetry: the process's own, with what the file says. */
  readonly telemetryEnv: Environment;
}

/** Reads the settings. Throws ConfigError, or SecretError for a secret of telemetry. */
export async function openProcessSettings(options: ProcessSettingsOptions): Promise<ProcessSettings> {
  const { args, env, keys, redactor } = options;
  const settings = await loadSettings({ path: configPathOf(args, env), env, keys, known: ALL_KEYS });
  const logger = options.createLogger(settings);
  for (const { name, near } of strangeVariables(env, ALL_KEYS)) {
    logger.warn({ variable: name, did_you_mean: near }, "variable is read by nothing");
  }
  const secrets = await openConfiguredSecrets({ settings, redactor, logger });
  try {
    const telemetryEnv = { ...env, ...(await environmentOf(settings, Object.values(telemetry), secrets)) };
    return { settings, secrets, logger, telemetryEnv, [Symbol.asyncDispose]: () => secrets[Symbol.asyncDispose]() };
  } catch (error) {
    await secrets[Symbol.asyncDispose]();
    throw error;
  }
}
