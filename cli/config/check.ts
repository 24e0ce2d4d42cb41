// `mycel config check`: every mistake of a configuration file at once.
import { ConfigError } from "../../lib/config/config-error.ts";
import { readConfigFile } from "../../lib/config/config-file.ts";
import { ALL_KEYS } from "../../lib/config/keys/tables.ts";
import { mistakesIn } from "../../lib/config/settings.ts";
import type { CliContext } from "../context.ts";
import { UsageError } from "../failure.ts";
import { harmless } from "../output/terminal.ts";

/** Checks a file. Throws UsageError with every mistake, one a line. */
export async function checkFile({ out }: CliContext, file: string): Promise<void> {
  const read = await readConfigFile(file, ALL_KEYS).catch((error: unknown) => {
    throw error instanceof ConfigError ? new UsageError(error.message) : error;
  });
  const mistakes = mistakesIn(read, ALL_KEYS);
  if (mistakes.length > 0) throw new UsageError(mistakes.map(harmless).join("\n"));
  const count = read.values.size;
  await out.line(`${file} is right: ${count} ${count === 1 ? "setting" : "settings"}`);
}
