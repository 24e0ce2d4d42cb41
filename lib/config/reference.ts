// Owns how the tables of keys become the reference that people read. Pure.
import type { Key } from "./key.ts";
import type { OtherVariable } from "./keys/other-variables.ts";
import type { Table } from "./keys/tables.ts";

/** What stands before the reference in a file of which the rest is written by hand. */
export const SETTINGS_MARK = "<!-- settings -->";

/** The reference as Markdown: a table for each table of keys, and the variables without a key. */
export function settingsReference(tables: readonly Table[], others: readonly OtherVariable[]): string {
  const sections = tables.map(({ title, keys }) => {
    const rows = keys.map(
      (key) => `| \`${key.path}\` | ${variablesOf(key)} | ${kindOf(key)} | ${fallbackOf(key)} | ${cell(key.doc)} |`,
    );
    const head = "| key | variable | what it may be | default | what it does |\n| --- | --- | --- | --- | --- |";
    return `## ${title}\n\n${head}\n${rows.join("\n")}`;
  });
  const rest = others.map(({ name, doc }) => `| \`${name}\` | ${cell(doc)} |`);
  return [
    ...sections,
    `## Variables without a key\n\n| variable | what it does |\n| --- | --- |\n${rest.join("\n")}`,
  ].join("\n\n");
}

function variablesOf({ variable, kind }: Key): string {
  return kind === "secret" ? `\`${variable}\`, \`${variable}_FILE\`` : `\`${variable}\``;
}

function kindOf({ kind, allowed }: Key): string {
  return kind === "secret" ? `a secret: \`file:PATH\` or \`vault:MOUNT/PATH#FIELD\`` : cell(allowed);
}

/** As code where it could be written so. */
function fallbackOf(key: Key): string {
  const { fallback, fallbackText } = key;
  const written = [key.show(fallback)].flat().join(",");
  return written !== "" && written === fallbackText ? `\`${fallbackText}\`` : cell(fallbackText);
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
