// Draws the summary of an analysis for a terminal or a log. Pure: text from values.
import Table from "cli-table3";
import picocolors from "picocolors";
import { NO_LINES } from "../output/frameless.ts";
import type { AnalysisSummary } from "./summary.ts";

/** How the summary is drawn. */
export interface SummaryViewOptions {
  /** Time from the first submission to the last result, in milliseconds. */
  readonly elapsedMs: number;
  /** Width of the terminal in characters; drawn for 60–140, default 80. */
  readonly columns?: number | undefined;
  /** Whether to use colour; default no. */
  readonly colour?: boolean | undefined;
}

type Colours = ReturnType<typeof picocolors.createColors>;
/** A table, line by line. */
type Block = readonly string[];

/** From this width on, the two narrow tables stand side by side. */
const WIDE_COLUMNS = 110;
/** From this width on, the counts fit into one row. */
const COUNTS_COLUMNS = 72;
const TOP_LANGUAGES = 6;
const BAR_WIDTH = 12;
const INDENT = "  ";

/** The whole summary as text that ends with a newline. */
export function renderSummary(summary: AnalysisSummary, options: SummaryViewOptions): string {
  const { elapsedMs, columns = 80, colour = false } = options;
  const colours = picocolors.createColors(colour);
  const width = Math.min(140, Math.max(60, columns)) - INDENT.length;
  const languages = languagesBlock(summary, colours);
  const agents = agentsBlock(summary, colours);
  const blocks: Block[] = [
    headline(summary, elapsedMs, colours),
    countsBlock(summary, colours, width),
    ...(width >= WIDE_COLUMNS ? [beside(languages, agents)] : [languages]),
    functionsBlock(summary, colours, width),
    filesBlock(summary, colours, width),
    ...(width >= WIDE_COLUMNS ? [] : [agents]),
  ].filter((block) => block.length > 0);
  return `${blocks.map((block) => block.map((line) => `${INDENT}${line}`.trimEnd()).join("\n")).join("\n\n")}\n`;
}

function headline(summary: AnalysisSummary, elapsedMs: number, colours: Colours): Block {
  const { tasks, failedTasks, counts, agents } = summary;
  const rate = elapsedMs > 0 ? ` (${decimal((tasks * 1000) / elapsedMs)} a second)` : "";
  const lines = [
    colours.bold(
      `${count(counts.files, "file")}, ${count(counts.lines, "line")}, ${size(counts.bytes)} in ${seconds(elapsedMs)}`,
    ),
    colours.dim(`${count(tasks, "task")}${rate} on ${count(agents.size, "agent")}`),
  ];
  if (failedTasks > 0) lines.push(colours.red(`${count(failedTasks, "task")} failed: their files are not counted`));
  const partly = [
    counts.findings > 0 ? count(counts.findings, "syntax error") : "",
    counts.skipped > 0 ? `${count(counts.skipped, "file")} too large to parse` : "",
    counts.binary > 0 ? count(counts.binary, "binary file") : "",
    counts.unreadable > 0 ? count(counts.unreadable, "unreadable file") : "",
  ].filter((part) => part !== "");
  if (partly.length > 0) lines.push(colours.yellow(`with ${partly.join(", ")}`));
  return lines;
}

function countsBlock({ counts }: AnalysisSummary, colours: Colours, width: number): Block {
  const density = counts.searchedLines > 0 ? decimal((counts.todos * 1000) / counts.searchedLines) : "–";
  // In a tree of languages that are not parsed these are unknown; noughts would be wrong.
  if (counts.code === 0)
    return [colours.dim(`${density} TODO / 1,000 lines; code is parsed in JavaScript and TypeScript only`)];
  const columns: [string, string][] = [
    ["Code lines", whole(counts.code)],
    ["Functions", whole(counts.functions)],
    ["Classes", whole(counts.classes)],
    ["Imports", whole(counts.imports)],
    ["Exports", whole(counts.exports)],
    ["TODO / 1,000 lines", density],
  ];
  const drawn = (part: typeof columns): Block =>
    draw({
      head: part.map(([name]) => name),
      alignments: part.map(() => "right"),
      rows: [part.map(([, value]) => colours.bold(value))],
      colours,
    });
  return width >= COUNTS_COLUMNS ? drawn(columns) : [...drawn(columns.slice(0, 3)), "", ...drawn(columns.slice(3))];
}

function languagesBlock({ languages, counts }: AnalysisSummary, colours: Colours): Block {
  const ranked = [...languages].sort(([a, x], [b, y]) => y.lines - x.lines || (a < b ? -1 : 1));
  const rest = ranked.slice(TOP_LANGUAGES);
  const rows = ranked.slice(0, TOP_LANGUAGES);
  if (rest.length > 0) {
    const files = rest.reduce((sum, [, language]) => sum + language.files, 0);
    const lines = rest.reduce((sum, [, language]) => sum + language.lines, 0);
    rows.push([`${rest.length} more`, { files, lines }]);
  }
  return draw({
    head: ["Language", "Files", "Lines", "Share"],
    alignments: ["left", "right", "right", "left"],
    rows: rows.map(([name, { files, lines }]) => [
      printable(name),
      whole(files),
      whole(lines),
      share(lines, counts.lines, colours.cyan),
    ]),
    colours,
  });
}

function agentsBlock({ agents, tasks }: AnalysisSummary, colours: Colours): Block {
  const ranked = [...agents].sort(([a, x], [b, y]) => y.tasks - x.tasks || (a < b ? -1 : 1));
  return draw({
    head: ["Agent", "Tasks", "Files", "Share"],
    alignments: ["left", "right", "right", "left"],
    rows: ranked.map(([name, agent]) => [
      shortenEnd(printable(name), 24),
      whole(agent.tasks),
      whole(agent.files),
      share(agent.tasks, tasks, colours.green),
    ]),
    colours,
  });
}

function functionsBlock({ longestFunctions }: AnalysisSummary, colours: Colours, width: number): Block {
  // 9 for the number and the gaps. A name gets what it needs up to a good third, its place what is left.
  const room = width - 9;
  const nameWidth = Math.min(
    Math.floor(room * 0.38),
    longest(
      longestFunctions.map(({ name }) => name),
      17,
    ),
  );
  const placeWidth = room - nameWidth;
  return draw({
    head: ["Lines", "Longest functions", "Where"],
    alignments: ["right", "left", "left"],
    rows: longestFunctions.map(({ name, path, line, lines }) => [
      whole(lines),
      shortenEnd(printable(name), nameWidth),
      colours.dim(shortenStart(`${printable(path)}:${line}`, placeWidth)),
    ]),
    colours,
  });
}

function filesBlock({ mostComplexFiles }: AnalysisSummary, colours: Colours, width: number): Block {
  const peaks = mostComplexFiles.map(({ peak }) =>
    peak === undefined ? "" : `${whole(peak.complexity)} in ${peak.name}`,
  );
  // 14 for the number and the gaps.
  const room = width - 14;
  const peakWidth = Math.min(Math.floor(room * 0.42), longest(peaks, 4));
  return draw({
    head: ["Complexity", "Most complex files", "Peak"],
    alignments: ["right", "left", "left"],
    rows: mostComplexFiles.map(({ path, complexity }, index) => [
      whole(complexity),
      shortenStart(printable(path), room - peakWidth),
      paint(shortenEnd(printable(peaks[index] ?? ""), peakWidth), colours.dim),
    ]),
    colours,
  });
}

interface TableText {
  readonly head: readonly string[];
  readonly alignments: readonly ("left" | "right")[];
  readonly rows: readonly (readonly string[])[];
  readonly colours: Colours;
}

/** A table without a frame: a rule under its head, two spaces between its columns. No rows, no table. */
function draw({ head, alignments, rows, colours }: TableText): Block {
  if (rows.length === 0) return [];
  const table = new Table({
    chars: NO_LINES,
    colAligns: [...alignments],
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
  });
  table.push(
    head.map((name) => colours.dim(name)),
    ...rows.map((row) => [...row]),
  );
  return table.toString().split("\n");
}

/** Two blocks in one, the second to the right of the first. */
function beside(left: Block, right: Block): Block {
  if (left.length === 0) return right;
  const width = Math.max(...left.map((line) => visibleLength(line))) + 6;
  return Array.from({ length: Math.max(left.length, right.length) }, (_, index) => {
    const line = left[index] ?? "";
    return `${line}${" ".repeat(width - visibleLength(line))}${right[index] ?? ""}`;
  });
}

function share(part: number, all: number, colour: (text: string) => string): string {
  const fraction = all > 0 ? part / all : 0;
  const filled = Math.round(fraction * BAR_WIDTH);
  const percent = fraction > 0 && fraction < 0.005 ? "<1" : String(Math.round(fraction * 100));
  return `${percent.padStart(3)} % ${paint("■".repeat(filled), colour)}`;
}

/** Escape sequences around nothing would keep the spaces before them from being trimmed. */
function paint(text: string, colour: (text: string) => string): string {
  return text === "" ? "" : colour(text);
}

function visibleLength(text: string): number {
  // oxlint-disable-next-line no-control-regex -- the escape sequences that picocolors writes begin with one
  return text.replace(/\u001B\[\d+m/g, "").length;
}

/** A name from a file system or an agent may hold escape sequences; a terminal must not obey them. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

/** Cuts a path at its start, between two of its parts where that leaves enough of it. */
function shortenStart(path: string, width: number): string {
  if (path.length <= width) return path;
  const end = path.slice(path.length - width + 1);
  const slash = end.indexOf("/");
  return `…${slash === -1 || slash > end.length / 2 ? end : end.slice(slash)}`;
}

/** Length of the longest text, at least `least`. */
function longest(texts: readonly string[], least: number): number {
  return texts.reduce((length, text) => Math.max(length, text.length), least);
}

function shortenEnd(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

function whole(value: number): string {
  return WHOLE.format(value);
}

function decimal(value: number): string {
  return value >= 100 ? whole(value) : value.toFixed(value >= 10 ? 1 : 2);
}

function count(value: number, noun: string): string {
  return `${whole(value)} ${noun}${value === 1 ? "" : "s"}`;
}

function seconds(ms: number): string {
  return ms < 1000 ? `${whole(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function size(bytes: number): string {
  if (bytes < 1000) return `${whole(bytes)} B`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
