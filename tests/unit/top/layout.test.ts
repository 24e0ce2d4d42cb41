// Which panels there are at which size, and how large.
import { expect, test } from "vitest";
import { layOut } from "../../../cli/top/state/layout.ts";
import { PANELS } from "../../../cli/top/state/model.ts";

const MANY = { agents: 100, queues: 100, latency: 100, failures: 100 };
const FEW = { agents: 1, queues: 1, latency: 1, failures: 1 };

function heights(columns: number, rows: number, wants = MANY, focused = PANELS[0]!): number[][] {
  return layOut({ columns, rows }, wants, focused).columns.map((places) => places.map(({ height }) => height));
}

test.for<[columns: number, rows: number, heights: number[][]]>([
  [80, 20, [[8, 4, 4, 4]]],
  [80, 12, [[3, 3, 3, 3]]],
  [80, 11, [[11]]],
  [
    200,
    46,
    [
      [31, 15],
      [23, 23],
    ],
  ],
  [
    150,
    20,
    [
      [13, 7],
      [10, 10],
    ],
  ],
])("at %i × %i the focused panel is twice as high as the others", ([columns, rows, wanted]) => {
  expect(heights(columns, rows)).toEqual(wanted);
});

test("panels take no more than they want, but the last, which fills the screen", () => {
  expect(heights(80, 20, FEW)).toEqual([[3, 3, 3, 11]]);
});

test("columns and rows are shared out without a rest at any size", () => {
  for (let columns = 40; columns < 250; columns += 7) {
    for (let rows = 6; rows < 80; rows += 1) {
      for (const focused of PANELS) {
        const { columns: all } = layOut({ columns, rows }, { ...MANY, queues: 2 }, focused);
        expect(all.reduce((sum, [first]) => sum + first!.width, 0)).toBe(columns);
        for (const places of all) expect(places.reduce((sum, { height }) => sum + height, 0)).toBe(rows);
        expect(all.flat().map(({ name }) => name)).toContain(focused);
      }
    }
  }
});
