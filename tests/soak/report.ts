// What the soak says at its end, as text for people: aligned on a terminal, and Markdown when pasted. Pure.
import { markdownTable } from "../../bench/report/markdown-table.ts";
import type { ClientReport } from "./client.ts";
import type { Happenings } from "./comings-and-goings.ts";
import type { Sample } from "./sample.ts";
import { type Comparison, growthPerHour } from "./verdict.ts";

/** Everything that a run found. */
export interface SoakResult {
  readonly command: string;
  readonly minutes: number;
  readonly samples: readonly Sample[];
  readonly comparisons: readonly Comparison[];
  readonly clients: ClientReport;
  readonly happened: Happenings;
}

const BYTES: ReadonlySet<string> = new Set(["heap after gc", "external", "rss", "stored"]);
/** The resources whose course under load is worth a look. */
const CURVES: readonly (readonly [process: string, resource: string])[] = [
  ["coordinator 1", "heap after gc"],
  ["coordinator 1", "rss"],
  ["coordinator 2", "heap after gc"],
  ["coordinator 2", "rss"],
  ["agent", "heap after gc"],
  ["agent", "rss"],
  ["client", "heap after gc"],
  ["client", "rss"],
  ["nats-server", "rss"],
  ["nats-server", "subscriptions"],
  ["nats-server", "consumers"],
  ["nats-server", "stored"],
];
const COLUMNS = 6;

/** Whether nothing leaked and nothing went wrong. */
export function isClean({ comparisons, clients }: SoakResult): boolean {
  return comparisons.every(({ returned }) => returned) && Object.keys(clients.failed).length === 0;
}

/** The report. */
export function reportText(result: SoakResult): string {
  const { command, minutes, comparisons, clients, happened } = result;
  const done = Object.values(clients.done).reduce((sum, n) => sum + n, 0);
  const failures = Object.entries(clients.failed).map(([what, n]) => `failed ${n}×: ${what}`);
  return [
    command,
    `${minutes} minutes of load: ${done.toLocaleString("en-US")} operations, ${clients.skipped} left out; ` +
      `${happened.agents} agents and ${happened.coordinators} coordinators came and went, ${happened.cuts} connections were cut`,
    ...failures,
    "",
    "Under load, medians of sixths of the time:",
    "",
    curveTable(result),
    "",
    "At rest, before and after:",
    "",
    comparisonTable(comparisons),
    "",
    isClean(result) ? "everything returned to its baseline" : "NOT everything returned to its baseline",
  ].join("\n");
}

function curveTable({ samples }: SoakResult): string {
  const load = samples.filter(({ phase }) => phase === "load");
  const size = Math.max(1, Math.ceil(load.length / COLUMNS));
  const parts = Array.from({ length: COLUMNS }, (_, i) => load.slice(i * size, (i + 1) * size)).filter(
    (p) => p.length > 0,
  );
  const body = CURVES.map(([process, resource]) => {
    const values = parts.map((part) => median(part.map(({ processes }) => processes[process]?.[resource] ?? 0)));
    const points = load.map(({ second, processes }) => ({ second, value: processes[process]?.[resource] ?? 0 }));
    // The first third still warms up.
    const growth = growthPerHour(points.slice(Math.floor(points.length / 3)));
    return [`${process}: ${resource}`, ...values.map((value) => amount(resource, value)), amount(resource, growth)];
  });
  return markdownTable(
    ["", ...parts.map((part) => `from ${Math.round((part[0]?.second ?? 0) / 60)} min`), "growth an hour"],
    body,
  );
}

function comparisonTable(comparisons: readonly Comparison[]): string {
  return markdownTable(
    ["", "before", "after", "bound", ""],
    comparisons.map(({ process, resource, before, after, bound, returned }) => [
      `${process}: ${resource}`,
      ...[before, after, bound].map((value) => amount(resource, value)),
      returned ? "ok" : "GREW",
    ]),
  );
}

function amount(resource: string, value: number): string {
  return BYTES.has(resource) ? `${(value / 1e6).toFixed(1)} MB` : String(Math.round(value));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
