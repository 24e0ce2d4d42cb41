// `mycel config docs`: every setting as Markdown, for the terminal and for docs/configuration.md.
import { readFile, writeFile } from "node:fs/promises";
import { OTHER_VARIABLES } from "../../lib/config/keys/other-variables.ts";
import { TABLES } from "../../lib/config/keys/tables.ts";
import { SETTINGS_MARK, settingsReference } from "../../lib/config/reference.ts";
import type { CliContext } from "../context.ts";
import { Failed } from "../failure.ts";

/** Prints it. */
export async function printReference({ out }: CliContext): Promise<void> {
  await out.line(settingsReference(TABLES, OTHER_VARIABLES));
}

/** Replaces what follows the mark in a file. Throws Failed if the file cannot be read, or has no mark. */
export async function writeReference(file: string): Promise<void> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new Failed(error instanceof Error ? error.message : String(error));
  });
  const end = text.indexOf(SETTINGS_MARK);
  if (end < 0) throw new Failed(`${file} has no line ${SETTINGS_MARK}`);
  const kept = text.slice(0, end + SETTINGS_MARK.length);
  await writeFile(file, `${kept}\n\n${settingsReference(TABLES, OTHER_VARIABLES)}\n`);
}
