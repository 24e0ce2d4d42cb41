// Owns how a service's process is told its configuration file: `--config FILE`, else MYCEL_CONFIG. Nothing else stands on its command line.
import { parseArgs } from "node:util";
import { ConfigError } from "./config-error.ts";
import type { Environment } from "./settings.ts";

/** The configuration file that a process was given; undefined if none. Throws ConfigError for any other argument. */
export function configPathOf(args: readonly string[], env: Environment): string | undefined {
  try {
    const { values } = parseArgs({ args: [...args], options: { config: { type: "string" } }, strict: true });
    const path = values.config ?? env["MYCEL_CONFIG"] ?? "";
    return path === "" ? undefined : path;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new ConfigError(`only --config FILE may be given: ${error.message.split(/[\n.]/)[0]}`);
  }
}
