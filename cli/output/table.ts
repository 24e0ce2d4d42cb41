// Tables and lists of facts that fit their terminal.
import Table from "cli-table3";
import { GAP, NO_LINES } from "./frameless.ts";
import { type Terminal, cut, harmless } from "./terminal.ts";

/** One column. */
export interface Column<Row> {
  readonly head: string;
  readonly value: (row: Row) => string;
  /** May be cut to this width when the terminal is narrow; undefined: never cut. */
  readonly minimum?: number;
  /** Colours a cell after it was cut. */
  readonly paint?: (text: string, row: Row) => string;
}

/** A table, cut to the terminal's width if it has one. */
export function renderTable<Row>(terminal: Terminal, columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map(({ value }) => harmless(value(row))));
  const natural = columns.map(({ head }, at) => Math.max(head.length, ...cells.map((line) => line[at]?.length ?? 0)));
  const widths = fit(
    natural,
    columns.map(({ minimum }, at) => minimum ?? natural[at] ?? 0),
    terminal.columns,
  );
  const table = new Table({
    head: columns.map(({ head }) => terminal.colors.dim(head)),
    chars: NO_LINES,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  for (const [index, row] of rows.entries()) {
    table.push(
      columns.map(({ paint = (text: string): string => text }, at) =>
        paint(cut(cells[index]?.[at] ?? "", widths[at] ?? Infinity), row),
      ),
    );
  }
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

/** Names and values below one another; empty values are left out. */
export function renderFacts(terminal: Terminal, facts: readonly (readonly [name: string, value: string])[]): string {
  const shown = facts.filter(([, value]) => value !== "");
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${terminal.colors.dim(name.padEnd(width))}  ${value}`).join("\n");
}

// Takes from the widest column that may be cut until everything fits, or nothing more can be taken.
function fit(natural: readonly number[], minimum: readonly number[], columns: number): number[] {
  const widths = [...natural];
  const total = (): number => widths.reduce((sum, width) => sum + width, GAP * (widths.length - 1));
  while (total() > columns) {
    let widest = -1;
    for (const [at, width] of widths.entries()) {
      if (width > (minimum[at] ?? width) && width > (widths[widest] ?? 0)) widest = at;
    }
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 1) - 1;
  }
  return widths;
}
