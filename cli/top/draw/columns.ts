// Decides how wide the columns of a table are, and which are left out where there is no room for all. Pure.

/** The space between two columns. */
export const GAP = 1;

/** What a column asks for. */
export interface ColumnWidth {
  /** It is left out rather than being narrower. */
  readonly least: number;
  /** What its content takes; more only if it grows. */
  readonly wanted: number;
  /** Takes what is left over. */
  readonly grows?: boolean;
  /** The largest goes first when there is no room for all; 0 or unset stays. */
  readonly spare?: number;
}

/** The width of each column; 0 for one that is left out. */
export function fitColumns(columns: readonly ColumnWidth[], width: number): number[] {
  const shown = new Set(columns.keys());
  const total = (of: (column: ColumnWidth) => number): number =>
    [...shown].reduce((sum, at) => sum + of(columns[at] ?? { least: 0, wanted: 0 }) + GAP, -GAP);
  while (total(({ least }) => least) > width) {
    const goes = [...shown].reduce((most, at) => ((columns[at]?.spare ?? 0) > (columns[most]?.spare ?? 0) ? at : most));
    if ((columns[goes]?.spare ?? 0) === 0) break;
    shown.delete(goes);
  }
  const widths = columns.map(({ least }, at) => (shown.has(at) ? least : 0));
  let left = width - total(({ least }) => least);
  // Evenly, so that no column starves for another one's long names.
  for (let gave = true; gave && left > 0;) {
    gave = false;
    for (const [at, { wanted }] of columns.entries()) {
      if (left === 0 || !shown.has(at) || (widths[at] ?? 0) >= wanted) continue;
      widths[at] = (widths[at] ?? 0) + 1;
      left -= 1;
      gave = true;
    }
  }
  const growing = columns.findIndex(({ grows }, at) => grows === true && shown.has(at));
  if (growing >= 0 && left > 0) widths[growing] = (widths[growing] ?? 0) + left;
  return widths;
}
