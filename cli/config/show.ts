// `mycel config show`: the settings that hold, each with where it is from.
import { ConfigError } from "../../lib/config/config-error.ts";
import { type Key, shownSource } from "../../lib/config/key.ts";
import { ALL_KEYS } from "../../lib/config/keys/tables.ts";
import { loadSettings, type Settings } from "../../lib/config/settings.ts";
import { strangeVariables } from "../../lib/config/strange-variables.ts";
import type { CliContext } from "../context.ts";
import { UsageError } from "../failure.ts";
import { harmless } from "../output/terminal.ts";
import { jsonDocument } from "../output/json.ts";
import { type Column, renderTable } from "../output/table.ts";

/** What the user chose. */
export interface ShowFlags {
  readonly config?: string;
  readonly defaults?: boolean;
  readonly json?: boolean;
}

interface Row {
  readonly key: string;
  readonly variable: string;
  /** Undefined where no value stands for something else. */
  readonly value: string | readonly string[] | undefined;
  readonly text: string;
  readonly source: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { head: "KEY", value: ({ key }) => key },
  { head: "VALUE", value: ({ text }) => text, minimum: 16 },
  { head: "FROM", value: ({ source }) => source },
];

/** Prints them. Throws UsageError with every mistake. */
export async function showSettings({ out, err, env }: CliContext, flags: ShowFlags): Promise<void> {
  const path = flags.config ?? (env["MYCEL_CONFIG"] || undefined);
  const settings = await loadSettings({ path, env, keys: ALL_KEYS }).catch((error: unknown) => {
    throw error instanceof ConfigError ? new UsageError(error.mistakes.map(harmless).join("\n")) : error;
  });
  for (const { name, near } of strangeVariables(env, ALL_KEYS)) {
    await err.line(`${name} is read by nothing; did you mean ${near}?`);
  }
  const shown = ALL_KEYS.filter((key) => flags.defaults === true || settings.sourceOf(key) !== undefined);
  const rows = shown.map((key) => rowOf(settings, key));
  if (flags.json === true) {
    const entries = rows.map(({ key, variable, value, source }) => ({ key, variable, value: value ?? null, source }));
    return await out.line(jsonDocument(entries));
  }
  if (rows.length === 0) return await err.line("nothing is set: all defaults hold, which --defaults shows");
  await out.line(renderTable(out, COLUMNS, rows));
}

function rowOf(settings: Settings, key: Key): Row {
  const source = settings.sourceOf(key);
  const { path, variable, fallbackText } = key;
  const value = settings.get(key);
  const shown = value === undefined ? undefined : key.show(value);
  if (source === undefined) return { key: path, variable, value: shown, text: fallbackText, source: "default" };
  return { key: path, variable, value: shown, text: [shown ?? ""].flat().join(", "), source: shownSource(source) };
}
