// Writes a report into the documentation: docs/performance.md between its marks, and docs/performance.svg.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BenchError } from "../support/bench-error.ts";
import { barChart } from "./bar-chart.ts";
import { panelsOf } from "./panels.ts";
import { type BenchReport, environmentText, measuredText, targetTable } from "./report.ts";

const BEGIN = "<!-- the run: written by npm run bench -- --write -->";
const END = "<!-- the run: end -->";

/** Replaces what stands between the marks, and the plot. Rejects with BenchError, before it writes anything, if there are no marks. */
export async function writeReport(docsDir: string, report: BenchReport): Promise<void> {
  const file = join(docsDir, "performance.md");
  const text = between(await readFile(file, "utf8"), runText(report), file);
  await writeFile(join(docsDir, "performance.svg"), plotOf(report));
  await writeFile(file, text);
}

function runText(report: BenchReport): string {
  return [
    "```",
    environmentText(report.environment),
    "```",
    "",
    targetTable(report.verdicts),
    "",
    "![The mesh beside its peers, as bars](performance.svg)",
    "",
    // The document has a heading above all this.
    measuredText(report).replaceAll(/^## /gm, "### "),
  ].join("\n");
}

function plotOf({ environment, rows }: BenchReport): string {
  return barChart(
    `Mycel beside its peers: ${environment.cores} cores, ${environment.date.slice(0, 10)}`,
    panelsOf(rows),
  );
}

/** A text with something else between the marks. Throws BenchError if it has none; `file` names it. */
export function between(text: string, part: string, file: string): string {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin === -1 || end < begin) throw new BenchError(`${file} has no marks to write between`);
  return `${text.slice(0, begin)}${BEGIN}\n\n${part}\n\n${text.slice(end)}`;
}
