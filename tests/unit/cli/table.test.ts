// Tables fit their terminal and carry no text that it would obey.
import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { type Column, renderFacts, renderTable } from "../../../cli/output/table.ts";
import { createTerminal, cut, harmless } from "../../../cli/output/terminal.ts";

const terminal = (columns: number | undefined) =>
  createTerminal(Object.assign(new PassThrough(), columns === undefined ? {} : { isTTY: true, columns }), true);

interface Row {
  readonly id: string;
  readonly text: string;
}
const COLUMNS: Column<Row>[] = [
  { head: "ID", value: ({ id }) => id },
  { head: "TEXT", value: ({ text }) => text, minimum: 4 },
];
const ROWS = [
  { id: "t-1", text: "a long text that does not fit" },
  { id: "t-22", text: "short" },
];

describe("a table", () => {
  test("is cut to the terminal", () => {
    expect(renderTable(terminal(16), COLUMNS, ROWS)).toBe("ID    TEXT\nt-1   a long te…\nt-22  short");
  });

  test("is whole in a pipe", () => {
    expect(renderTable(terminal(undefined), COLUMNS, ROWS)).toBe(
      "ID    TEXT\nt-1   a long text that does not fit\nt-22  short",
    );
  });

  test("never cuts what must stay whole", () => {
    expect(renderTable(terminal(5), COLUMNS, ROWS)).toBe("ID    TEXT\nt-1   a l…\nt-22  sho…");
  });

  test("holds one line a row, whatever its cells say", () => {
    const rows = [{ id: "x", text: "two\nlines \u001b[31mred\u001b[0m \u0007bell" }];
    expect(renderTable(terminal(undefined), COLUMNS, rows)).toBe("ID  TEXT\nx   two lines red  bell");
  });
});

test("facts without a value are left out", () => {
  expect(
    renderFacts(terminal(80), [
      ["name", "x"],
      ["none", ""],
      ["longer", "y"],
    ]),
  ).toBe("name    x\nlonger  y");
});

test("text is cut with an ellipsis, and only if it must", () => {
  expect([cut("abcd", 4), cut("abcde", 4), cut("abc", 1), cut("abc", 0)]).toEqual(["abcd", "abc…", "…", "…"]);
});

test("control characters become harmless", () => {
  expect(harmless("a\u001b]0;title\u0007b\r\nc\u009fd")).toBe("ab c d");
});

describe("a time", () => {
  test("is relative for a person", () => {
    const now = Date.now();
    const person = terminal(80);
    expect([
      person.time(undefined),
      person.time(new Date(now)),
      person.time(new Date(now - 65_000)),
      person.time(new Date(now + 3_700_000)),
    ]).toEqual(["", "just now", "1m ago", "in 1h"]);
  });

  test("is ISO 8601 in a pipe", () => {
    expect(terminal(undefined).time(new Date(0))).toBe("1970-01-01T00:00:00.000Z");
  });
});
