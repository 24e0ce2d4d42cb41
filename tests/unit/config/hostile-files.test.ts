// Files that nobody meant: whatever stands in them, reading ends, says in bounded lines what is wrong, and never throws.
import { array, assert, constantFrom, nat, oneof, property, string, tuple } from "fast-check";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { ConfigError } from "../../../lib/config/config-error.ts";
import { readConfigText } from "../../../lib/config/config-file.ts";
import { ALL_KEYS } from "../../../lib/config/keys/tables.ts";
import { mistakesIn, readSettings } from "../../../lib/config/settings.ts";

const GOOD = readFileSync(resolve(import.meta.dirname, "../../../deploy/mycel.yaml"), "utf8");
const PIECES = [
  "&a ",
  "*a",
  "<<: *a",
  "- ",
  ": ",
  "? ",
  "{",
  "}",
  "[",
  "]",
  "!!binary ",
  "!x ",
  "|\n",
  ">-\n",
  "---\n",
  "...\n",
  "%YAML 1.1\n",
  "\t",
  "'",
  '"',
  "#",
  "\u2028",
  "\ud800",
  "null",
  "~",
  "coordinator",
  "nats:\n  urls: ",
];

test("any text is read to its end, and each mistake is one line with its place", () => {
  const pieces = array(oneof(constantFrom(...PIECES), string({ maxLength: 12 })), { maxLength: 40 }).map((all) =>
    all.join(""),
  );
  const changed = tuple(pieces, nat(GOOD.length), nat(80)).map(
    ([piece, at, cut]) => GOOD.slice(0, at) + piece + GOOD.slice(at + cut),
  );
  assert(
    property(oneof(pieces, changed), (text) => {
      const file = readConfigText({ file: "m.yaml", text, folder: "/", keys: ALL_KEYS });
      const mistakes = mistakesIn(file, ALL_KEYS);
      expect(mistakes.length).toBeLessThanOrEqual(100 + ALL_KEYS.length);
      for (const line of mistakes) expect(line).toMatch(/^m\.yaml:\d+:\d+: [^\n]{1,400}$/);
    }),
    { numRuns: 2_000 },
  );
});

test("any environment is read to its end, and each mistake names its variable", () => {
  const variables = array(tuple(constantFrom(...ALL_KEYS.map(({ variable }) => variable)), string({ unit: "binary" })));
  assert(
    property(variables, (entries) => {
      try {
        readSettings({ keys: ALL_KEYS, env: Object.fromEntries(entries) });
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        for (const line of (error as ConfigError).mistakes) expect(line).toMatch(/^[A-Z][A-Z0-9_]+ \([\w.]+\) [^\n]+$/);
      }
    }),
    { numRuns: 2_000 },
  );
});
