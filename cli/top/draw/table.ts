// A table in a box of lines: a head, and as many rows as there is room for, around the chosen one.
import { createElement as h, type ReactElement } from "react";
import { Box } from "ink";
import stringWidth from "string-width";
import { fitColumns, GAP } from "./columns.ts";
import { type Tone, Words } from "./words.ts";

/** One column. */
export interface TableColumn<Row> {
  readonly head: string;
  /** The cell's text, without control characters. */
  readonly text: (row: Row) => string;
  readonly tone?: (row: Row) => Tone;
  /** It is left out rather than being narrower. Default: what it takes. */
  readonly least?: number;
  /** It is never wider, unless it grows. Default: what it takes. */
  readonly most?: number;
  /** Takes what is left over. */
  readonly grows?: boolean;
  /** The largest goes first when there is no room for all; 0 or unset stays. */
  readonly spare?: number;
  /** Numbers stand at the right. */
  readonly right?: boolean;
  /** It is a picture, which keeps its colours in a chosen row. */
  readonly picture?: boolean;
}

/** What {@link Table} takes. */
export interface TableProps<Row> {
  readonly columns: readonly TableColumn<Row>[];
  readonly rows: readonly Row[];
  readonly width: number;
  /** With the head. */
  readonly height: number;
  /** The chosen row, where choosing is possible; rows are shown from around it. */
  readonly chosen?: number | undefined;
  /** Whether keys act on this table: the chosen row is marked. */
  readonly focused?: boolean;
  /** What is said where there is no row. */
  readonly none: string;
}

const MARK = "▸";

/** The first row to show so that the chosen one is in sight: it stays in the middle where it can. */
export function firstShown(count: number, room: number, chosen: number): number {
  return Math.max(0, Math.min(count - room, chosen - Math.floor(room / 2)));
}

/** Draws the table. */
export function table<Row>(props: TableProps<Row>): ReactElement {
  const { columns, rows, width, height, chosen = 0, focused = false, none } = props;
  const room = Math.max(0, height - 1);
  const first = firstShown(rows.length, room, chosen);
  const shown = rows.slice(first, first + room);
  const widths = fitColumns(
    columns.map(({ head, text, least, most = Infinity, grows = false, spare = 0 }) => {
      const takes = Math.max(head.length, ...shown.map((row) => stringWidth(text(row))));
      const wanted = Math.min(most, takes);
      return { least: Math.min(least ?? wanted, wanted), wanted, grows, spare };
    }),
    width - MARK.length - GAP,
  );
  const row = (
    key: string,
    mark: string,
    isChosen: boolean,
    cell: (column: TableColumn<Row>) => [string, Tone],
  ): ReactElement =>
    h(
      Box,
      { key, width, height: 1, flexShrink: 0 },
      h(
        Box,
        { width: MARK.length + GAP, flexShrink: 0 },
        h(Words, { tone: "title", chosen: isChosen }, mark.padEnd(MARK.length + GAP)),
      ),
      ...columns.flatMap((column, at) => {
        const cellWidth = widths[at] ?? 0;
        if (cellWidth === 0) return [];
        const [text, tone] = cell(column);
        const isLast = widths.slice(at + 1).every((after) => after === 0);
        return [
          h(
            Box,
            { key: at, width: cellWidth + (isLast ? 0 : GAP), flexShrink: 0 },
            h(
              Words,
              { tone, chosen: isChosen && column.picture !== true },
              filled(text, cellWidth, column.right === true) + (isLast ? "" : " ".repeat(GAP)),
            ),
          ),
        ];
      }),
    );
  const lines = shown.map((each, at) => {
    const isChosen = focused && first + at === chosen;
    return row(String(at), isChosen ? MARK : "", isChosen, ({ text, tone }) => [text(each), tone?.(each) ?? "plain"]);
  });
  const head = row("head", "", false, ({ head }) => [head, "dim"]);
  return h(
    Box,
    { flexDirection: "column", width, height, overflow: "hidden" },
    head,
    ...(rows.length === 0 && room > 0 ? [h(Words, { key: "none", tone: "dim" }, `  ${none}`)] : lines),
  );
}

/** Text of exactly this width: the bar of a chosen row has no holes. */
function filled(text: string, width: number, right: boolean): string {
  const takes = stringWidth(text);
  if (takes > width) return cutTo(text, width);
  const rest = " ".repeat(width - takes);
  return right ? rest + text : text + rest;
}

const GRAPHEMES = new Intl.Segmenter();

/** Text cut to a width as a terminal counts it, with an ellipsis. */
export function cutTo(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let kept = "";
  let takes = 0;
  for (const { segment } of GRAPHEMES.segment(text)) {
    const wide = stringWidth(segment);
    if (takes + wide > width - 1) break;
    kept += segment;
    takes += wide;
  }
  return width < 1 ? "" : `${kept}…${" ".repeat(width - 1 - takes)}`;
}
