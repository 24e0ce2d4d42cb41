// Which rows the plot shows, and how they are called there. Pure.

import type { Durability } from "../support/contender.ts";
import { amount } from "./amount.ts";
import type { Bar, Panel } from "./bar-chart.ts";
import type { Row } from "./rows.ts";

const SHOWN: readonly (readonly [durability: Durability, row: string, title: string])[] = [
  ["second", "bulk", "Bulk submit → complete, 200 B"],
  ["always", "bulk", "The same, synced before each acknowledgement"],
  ["second", "bulk-16k", "Bulk submit → complete, 16 KiB"],
  ["second", "stream", "Stream of submissions → complete"],
  ["second", "complete-1", "Single submissions → complete, one at a time"],
  ["second", "complete-256", "Single submissions → complete, 256 at once"],
  ["second", "idle.p50", "Submit → result, idle, p50: less is better"],
  ["second", "half-load.p99", "Submit → result, half load, p99: less is better"],
  ["second", "complete-16", "Single submissions → complete, 16 at once"],
  ["second", "served-empty-256", "Empty calls by a light client, 256 at once"],
];

/** Times of whoever polls would leave nothing to see of the others. */
const LONGEST_TIME = 12;

/** One panel for each row that was measured on more than one contender, the mesh first. */
export function panelsOf(rows: readonly Row[]): readonly Panel[] {
  return SHOWN.flatMap(([durability, id, title]) => {
    const row = rows.find((each) => each.id === id && each.durability === durability);
    if (row === undefined || Object.keys(row.cells).length < 2) return [];
    const bars = Object.entries(row.cells).map(([contender, { value }]): Bar => ({
      label: contender,
      value,
      text: amount(value),
      role: contender === "mesh" ? "ours" : contender === "floor" ? "limit" : "other",
    }));
    const panel = { title: `${title} (${row.unit})`, bars };
    const mesh = row.cells["mesh"];
    return row.unit === "ms" && mesh !== undefined ? [{ ...panel, limit: mesh.value * LONGEST_TIME }] : [panel];
  });
}
