// The results as text for people: aligned on a terminal, and Markdown when pasted. Pure.

import type { BenchEnvironment } from "../support/environment.ts";
import { markdownTable } from "./markdown-table.ts";
import type { CpuRow, Row } from "./rows.ts";

const CPU_COLUMNS = ["client", "coordinator", "agent", "nats-server"] as const;

/** Everything that is printed at the end. */
export function reportText(environment: BenchEnvironment, rows: readonly Row[], cpuRows: readonly CpuRow[]): string {
  const parts = [
    environmentText(environment),
    markdownTable(
      ["", "mesh/floor", "(min–max)", "mesh", "floor", ""],
      rows.map((row) => [row.title, ratio(row.ratio), range(row), amount(row.mesh), amount(row.floor), row.unit]),
    ),
  ];
  if (cpuRows.length > 0) {
    const cells = ({ mesh, floor }: CpuRow): string[] =>
      CPU_COLUMNS.map((name) => `${micros(mesh[name])} / ${micros(floor[name])}`);
    parts.push(
      "Processor time of each process for one task or call, µs, mesh / floor (the floor's reporter stands under coordinator, its worker\nunder agent):",
      markdownTable(
        ["", ...CPU_COLUMNS],
        cpuRows.map((row) => [row.title, ...cells(row)]),
      ),
    );
  }
  return parts.join("\n\n");
}

function environmentText(environment: BenchEnvironment): string {
  const { command, date, commit, node, natsServer, platform, cores, memoryGiB, loadBefore } = environment;
  return [
    command,
    `${date} UTC, commit ${commit}, Node ${node}, nats-server ${natsServer} (R1, default sync_interval)`,
    `${platform}, ${cores} cores, ${memoryGiB} GiB; load before the start ${loadBefore}`,
  ].join("\n");
}

function ratio(value: number): string {
  return value.toFixed(2);
}

function range({ ratioRange: [low, high] }: Row): string {
  return `${low.toFixed(2)}–${high.toFixed(2)}`;
}

function amount(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en-US") : value.toFixed(2);
}

function micros(value: number | undefined): string {
  return value === undefined ? "?" : String(Math.round(value));
}
