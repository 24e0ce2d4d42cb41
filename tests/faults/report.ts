// The part of docs/reliability.md that a run of the matrix writes: the table, what was checked, and the command that gave both.
import { readFile, writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import process from "node:process";
import type { Counts } from "./checker/counts.ts";
import { natsServerBinary } from "../support/nats.ts";
import { run } from "../../lib/nats/server/run.ts";
import type { Row } from "./row.ts";
import type { RowResult } from "./run-row.ts";
import { markdownTable } from "./table.ts";

/** What a run gave. */
export interface Report {
  /** The rows that were run. */
  readonly rows: readonly Row[];
  readonly command: string;
  /** How long it took, in minutes. */
  readonly minutes: number;
  readonly results: readonly RowResult[];
  readonly counts: Counts;
}

const BEGIN = "<!-- the matrix: written by npm run test:faults -- --write -->";
const END = "<!-- the matrix: end -->";
const VERSION_TIMEOUT_MS = 5_000;

/** Replaces the part of a file between the two marks. Rejects if they are not there. */
export async function writeReport(file: string, report: Report): Promise<void> {
  const text = await readFile(file, "utf8");
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin === -1 || end < begin) throw new Error(`${file} has no marks to write between`);
  const version = (await run(await natsServerBinary(), ["--version"], { timeoutMs: VERSION_TIMEOUT_MS })).trim();
  // Others on the machine make it slower: how busy it was belongs to the figures.
  const [, , load = 0] = loadavg();
  const machine = `${cpus().length} cores, Node ${process.versions.node}, ${version}`;
  const took = `${report.minutes.toFixed(0)} minutes, load average of the last 15 ${load.toFixed(1)}`;
  const part = [
    BEGIN,
    "",
    `\`${report.command}\` (${machine}; ${took})`,
    "",
    markdownTable(report.results),
    "",
    `Checked on the way: ${countsText(report.counts)}.`,
    "",
    ...report.rows.map(({ name, about }) => `- **${name}**: ${about}.`),
    "",
  ].join("\n");
  await writeFile(file, text.slice(0, begin) + part + text.slice(end));
}

function countsText(counts: Counts): string {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${Number(count).toLocaleString("en")} ${words(what)}`)
    .join(", ");
}

function words(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
