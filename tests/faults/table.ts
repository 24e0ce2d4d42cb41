// The result of a run as people read it: one line a row of the matrix, on a terminal or in Markdown.
import Table from "cli-table3";
import type { RowResult } from "./run-row.ts";

const HEAD = [
  "row",
  "runs",
  "tasks",
  "executions",
  "faults",
  "violations",
  "recovery p50",
  "recovery max",
  "client errors",
  "plain calls fail",
];

/** The table for a terminal. */
export function terminalTable(results: readonly RowResult[]): string {
  const table = new Table({ head: HEAD, style: { head: [], border: [] } });
  table.push(...cells(results));
  return table.toString();
}

/** The table for the documentation. */
export function markdownTable(results: readonly RowResult[]): string {
  const line = (texts: readonly string[]): string => `| ${texts.join(" | ")} |`;
  return [line(HEAD), line(HEAD.map((_, i) => (i === 0 ? "---" : "---:"))), ...cells(results).map(line)].join("\n");
}

function cells(results: readonly RowResult[]): string[][] {
  const rows = Map.groupBy(results, ({ row }) => row);
  const lines = [...rows].map(([name, runs]) => line(name, runs));
  return [...lines, line("all", results)];
}

function line(name: string, runs: readonly RowResult[]): string[] {
  const sum = (count: (run: RowResult) => number): number => runs.reduce((total, run) => total + count(run), 0);
  const recoveries = runs.flatMap(({ recoveriesMs }) => recoveriesMs).toSorted((a, b) => a - b);
  const outages = runs.flatMap(({ outageMs }) => (outageMs === undefined ? [] : [outageMs]));
  return [
    name,
    String(runs.length),
    sum(({ tasks }) => tasks).toLocaleString("en"),
    sum(({ executions }) => executions).toLocaleString("en"),
    String(sum(({ faults }) => faults)),
    String(sum(({ violations }) => violations.length)),
    seconds(recoveries[Math.floor((recoveries.length - 1) / 2)]),
    seconds(recoveries.at(-1)),
    String(sum(({ errors }) => errors.length)),
    outages.length === 0 ? "" : seconds(Math.max(...outages)),
  ];
}

function seconds(ms: number | undefined): string {
  if (ms === undefined) return "";
  return Number.isFinite(ms) ? `${(ms / 1_000).toFixed(2)} s` : "never";
}
