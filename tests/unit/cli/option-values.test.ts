// What options accept, and the sentence that says so when they do not.
import { expect, test } from "vitest";
import {
  countOption,
  durationOption,
  labelOption,
  numberOption,
  wholeNumberOption,
  wordsOption,
} from "../../../cli/option-values.ts";

type Parser = (text: string) => unknown;

test.for([
  ["a whole number", wholeNumberOption(0, 65_535), ["0", "65535"], [0, 65_535]],
  ["a whole number without an upper bound", wholeNumberOption(1), ["1", "9007199254740991"], [1, 2 ** 53 - 1]],
  ["a number", numberOption(0.1, 10), ["0.1", "10", "2.50"], [0.1, 10, 2.5]],
  ["a count", countOption, ["1", "999999999"], [1, 999_999_999]],
] satisfies [string, Parser, string[], number[]][])(
  "%s is read in digits, up to its bounds",
  ([, parse, texts, values]) => {
    expect(texts.map((text) => parse(text))).toEqual(values);
  },
);

test.for([
  [
    "no whole number in its bounds",
    wholeNumberOption(0, 65_535),
    ["65536", "-1", "1.5", "0x10", "1e3", "", " 1", "x"],
    "from 0 to 65535",
  ],
  ["no whole number of at least 1", wholeNumberOption(1), ["0", "9007199254740992"], "a whole number of at least 1"],
  [
    "no number in its bounds",
    numberOption(0.1, 10),
    ["0", "10.1", "-1", ".5", "1e1", "", "x"],
    "a number from 0.1 to 10",
  ],
  ["no duration", durationOption, ["5", "s", ""], "a duration like 500ms"],
  ["no label", labelOption, ["x", "=x"], "a label like team=search"],
  ["none of the words", wordsOption(["kill", "power-cut"]), ["flood", "kill,", ""], "Choose from kill, power-cut."],
] satisfies [string, Parser, string[], string][])(
  "what is %s is refused with what is allowed",
  ([, parse, texts, allowed]) => {
    for (const text of texts) expect(() => parse(text), text).toThrow(allowed);
  },
);

test("words come separated by commas or one after the other, with hyphens or underscores", () => {
  const parse = wordsOption(["kill", "power-cut", "dead_letter"]);
  expect(parse("dead-letter", parse("kill, power_cut"))).toEqual(["kill", "power-cut", "dead_letter"]);
});
