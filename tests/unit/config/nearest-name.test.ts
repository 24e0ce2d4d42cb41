import { assert, constantFrom, nat, property, record } from "fast-check";
import { describe, expect, test } from "vitest";
import { readConfigText } from "../../../lib/config/config-file.ts";
import { ALL_KEYS } from "../../../lib/config/keys/tables.ts";
import { nearestName } from "../../../lib/config/nearest-name.ts";

const PATHS = ALL_KEYS.map(({ path }) => path);

describe("the nearest name", () => {
  test.for([
    ["heartbaet", "heartbeat"],
    ["HEARTBEAT", "heartbeat"],
    ["leas", "lease"],
    ["telemetry", undefined],
    ["x".repeat(10_000), undefined],
  ] as const)("of %s is %s", ([text, expected]) => {
    expect(nearestName(text, ["heartbeat", "lease", "listen"])).toBe(expected);
  });

  test("is told for any key of the tables in which one character was changed, and no such key is taken for a known one", () => {
    const mistyped = record({
      path: constantFrom(...PATHS),
      at: nat(),
      how: constantFrom("drop", "double", "swap", "replace"),
      letter: constantFrom("a", "e", "q", "z"),
    })
      .map(({ path, at, how, letter }) => ({ path, wrong: mutated(path, at, how, letter) }))
      .filter(({ wrong }) => !PATHS.includes(wrong));
    assert(
      property(mistyped, ({ wrong }) => {
        const { mistakes, values } = readConfigText({
          file: "m.yaml",
          text: written(wrong),
          folder: "/",
          keys: ALL_KEYS,
        });
        expect(values.size).toBe(0);
        expect(mistakes).toHaveLength(1);
        expect(mistakes[0]).toMatch(/^m\.yaml:\d+:\d+: unknown key \S+; did you mean [\w.]+\?$/);
      }),
      { numRuns: 500 },
    );
  });
});

/** Changes one character of the last word of a path. */
function mutated(path: string, at: number, how: string, letter: string): string {
  const start = path.lastIndexOf(".") + 1;
  const [head, word] = [path.slice(0, start), path.slice(start)];
  const i = at % word.length;
  const [before, here, after] = [word.slice(0, i), word[i] ?? "", word.slice(i + 1)];
  switch (how) {
    case "drop":
      return head + before + after;
    case "double":
      return head + before + here + here + after;
    case "swap":
      return head + before + after.slice(0, 1) + here + after.slice(1);
    default:
      return head + before + letter + after;
  }
}

/** The path as a file of nested sections. */
function written(path: string): string {
  const parts = path.split(".");
  return parts.map((part, i) => `${"  ".repeat(i)}${part}:${i === parts.length - 1 ? " x" : ""}`).join("\n");
}
