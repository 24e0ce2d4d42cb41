// Everything that a run gave, and how it reads: tables that are aligned on a terminal, and Markdown when pasted. Pure.

import type { Figure } from "../scale/figure.ts";
import type { ScaleGroup } from "../scale/measure.ts";
import { DURABILITIES, type Durability } from "../support/contender.ts";
import type { BenchEnvironment } from "../support/environment.ts";
import { amount } from "./amount.ts";
import { markdownTable } from "./markdown-table.ts";
import type { CpuRow, Row, Spread } from "./rows.ts";
import type { Verdict } from "./targets.ts";

/** What a run gave. */
export interface BenchReport {
  readonly environment: BenchEnvironment;
  /** By durability, who was measured, by id. */
  readonly titles: Readonly<Partial<Record<Durability, Readonly<Record<string, string>>>>>;
  readonly rows: readonly Row[];
  readonly cpu: readonly CpuRow[];
  readonly scale: readonly ScaleGroup[];
  /** Why a contender (by id, at a durability: `always bullmq`) or a measurement at scale (by id) gave nothing. */
  readonly absent: Readonly<Record<string, string>>;
  readonly verdicts: readonly Verdict[];
}

const DURABILITY_TITLES: Readonly<Record<Durability, string>> = {
  second: "Durability `second`: a power cut may lose about the last second",
  always: "Durability `always`: a power cut loses nothing that was acknowledged",
};

/** The processes of a contender, as far as it has them. */
const ROLES = ["client", "server", "worker", "store"] as const;

/** On what it was measured, in three lines. */
export function environmentText(environment: BenchEnvironment): string {
  const { command, date, commit, node, natsServer, platform, cores, memoryGiB, loadBefore } = environment;
  return [
    command,
    `${date} UTC, commit ${commit}, Node ${node}, nats-server ${natsServer}`,
    `${platform}, ${cores} cores, ${memoryGiB} GiB; load before the start ${loadBefore}`,
  ].join("\n");
}

/** The targets with our figures beside them. */
export function targetTable(verdicts: readonly Verdict[]): string {
  return markdownTable(
    ["target", "wanted", "ours", "(min–max)", "", "from"],
    verdicts.map(({ target, verdict, value, spread, detail }) => [
      target.comparison,
      `${target.direction === "at least" ? "≥" : "≤"} ${target.wanted} ${target.unit}`,
      value === undefined ? "–" : `${value.toFixed(2)} ${target.unit}`,
      spread === undefined ? "" : range(spread),
      verdict,
      detail,
    ]),
    [4, 5],
  );
}

/** All numbers, a part each. */
export function measuredText(report: BenchReport): string {
  const parts = DURABILITIES.flatMap((durability) => durabilityParts(report, durability));
  for (const { title, figures } of report.scale) parts.push(`## At scale: ${title}`, figureTable(figures));
  const absent = Object.entries(report.absent);
  if (absent.length > 0) parts.push(absent.map(([what, why]) => `- ${what} left out: ${why}`).join("\n"));
  return parts.join("\n\n");
}

function durabilityParts(report: BenchReport, durability: Durability): readonly string[] {
  const rows = report.rows.filter((row) => row.durability === durability);
  if (rows.length === 0) return [];
  const measured = (id: string): boolean => rows.some(({ cells }) => cells[id] !== undefined);
  const titles = Object.entries(report.titles[durability] ?? {}).filter(([id]) => measured(id));
  const ids = titles.map(([id]) => id);
  const parts = [
    `## ${DURABILITY_TITLES[durability]}`,
    titles.map(([id, title]) => `- ${id}: ${title}`).join("\n"),
    valueTable(rows, ids),
  ];
  const refusals = rows.flatMap(({ id: row, refusals: refused }) =>
    Object.entries(refused).map(([id, why]) => `- ${scenarioOf(row)}: ${id}: ${why}`),
  );
  // Every percentile of a scenario has the same ones.
  if (refusals.length > 0) parts.push([...new Set(refusals)].join("\n"));
  const others = ids.filter((id) => id !== "mesh");
  if (others.length > 0) {
    parts.push("Mesh / other: the median of the rounds' ratios, and their range:", ratioTable(rows, others));
  }
  const cpu = report.cpu.filter((row) => row.durability === durability);
  if (cpu.length > 0) {
    const lead = "Processor time for one task or call, µs: all = client + server + worker + store:";
    parts.push(lead, cpuTable(cpu, ids));
  }
  return parts;
}

function scenarioOf(row: string): string {
  return row.split(".", 1)[0] ?? row;
}

function valueTable(rows: readonly Row[], ids: readonly string[]): string {
  return markdownTable(
    ["", ...ids, ""],
    rows.map(({ title, unit, cells, refusals }) => [
      title,
      ...ids.map((id) => {
        const cell = cells[id];
        if (cell !== undefined) return amount(cell.value);
        return refusals[id] === undefined ? "" : "not carried";
      }),
      unit,
    ]),
  );
}

function ratioTable(rows: readonly Row[], ids: readonly string[]): string {
  return markdownTable(
    ["", ...ids],
    rows
      .filter(({ cells }) => ids.some((id) => cells[id] !== undefined))
      .map(({ title, cells }) => [
        title,
        ...ids.map((id) => {
          const ratio = cells[id]?.ratio;
          return ratio === undefined ? "" : `${ratio.median.toFixed(2)} (${range(ratio)})`;
        }),
      ]),
  );
}

function cpuTable(rows: readonly CpuRow[], ids: readonly string[]): string {
  return markdownTable(
    ["", ...ids],
    rows.map(({ title, cells }) => [title, ...ids.map((id) => (cells[id] === undefined ? "" : cpuText(cells[id])))]),
  );
}

function cpuText(micros: CpuRow["cells"][string]): string {
  const sum = Object.values(micros).reduce((total, each) => total + each, 0);
  const parts = ROLES.map((role) => (micros[role] === undefined ? "–" : Math.round(micros[role])));
  return `${Math.round(sum)} = ${parts.join(" + ")}`;
}

function figureTable(figures: readonly Figure[]): string {
  return markdownTable(
    ["", "", "", ""],
    figures.map(({ title, value, unit, detail }) => [title, amount(value), unit, detail]),
    [2, 3],
  );
}

function range({ min, max }: Spread): string {
  return `${min.toFixed(2)}–${max.toFixed(2)}`;
}
