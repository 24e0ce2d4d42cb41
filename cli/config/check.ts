// `mycel config check`: every mistake of a configuration file at once.
import { ConfigError } from "../../lib/config/config-error.ts";
import { type FileValues, readConfigFile } from "../../lib/config/config-file.ts";
import { contradictionsIn } from "../../lib/config/contradictions.ts";
import { ALL_KEYS } from "../../lib/config/keys/tables.ts";
import { type Environment, mistakesIn, readSettings } from "../../lib/config/settings.ts";
import type { CliContext } from "../context.ts";
import { UsageError } from "../failure.ts";
import { harmless } from "../output/terminal.ts";

/** Checks a file. Throws UsageError with every mistake, one a line. */
export async function checkFile({ out, env }: CliContext, file: string): Promise<void> {
  const read = await readConfigFile(file, ALL_KEYS).catch((error: unknown) => {
    throw error instanceof ConfigError ? new UsageError(error.message) : error;
  });
  const alone = mistakesIn(read, ALL_KEYS);
  // What one setting needs of another may be given by a variable.
  const mistakes = alone.length > 0 ? alone : together(read, env);
  if (mistakes.length > 0) throw new UsageError(mistakes.map(harmless).join("\n"));
  const count = read.values.size;
  await out.line(`${file} is right: ${count} ${count === 1 ? "setting" : "settings"}`);
}

function together(file: FileValues, env: Environment): readonly string[] {
  try {
    return contradictionsIn(readSettings({ keys: ALL_KEYS, env, file }));
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
}
