// How wide columns are, and which go first.
import { expect, test } from "vitest";
import { type ColumnWidth, fitColumns } from "../../../cli/top/draw/columns.ts";

const fixed = (wanted: number, spare = 0): ColumnWidth => ({ least: wanted, wanted, spare });

test.for<[name: string, columns: readonly ColumnWidth[], width: number, widths: readonly number[]]>([
  ["everything that fits is as wide as it wants", [fixed(5), fixed(3)], 20, [5, 3]],
  ["what is left over goes to the column that grows", [fixed(5), { ...fixed(3), grows: true }], 20, [5, 14]],
  [
    "columns that can be narrower share what there is",
    [
      { least: 2, wanted: 10 },
      { least: 2, wanted: 10 },
    ],
    13,
    [6, 6],
  ],
  [
    "none takes more than it wants",
    [
      { least: 2, wanted: 3 },
      { least: 2, wanted: 10 },
    ],
    13,
    [3, 9],
  ],
  ["the most spare column goes first", [fixed(5), fixed(5, 1), fixed(5, 2)], 12, [5, 5, 0]],
  ["then the next", [fixed(5), fixed(5, 1), fixed(5, 2)], 10, [5, 0, 0]],
  ["those that must stay, stay", [fixed(5), fixed(5)], 3, [5, 5]],
  ["no columns take no room", [], 10, []],
])("%s", ([, columns, width, widths]) => {
  expect(fitColumns(columns, width)).toEqual(widths);
});
