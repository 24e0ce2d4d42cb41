import { expect, test } from "vitest";
import { readOptions } from "../../../bench/support/options.ts";

const WORDS = { scenarios: ["bulk", "backlog"], others: ["floor", "bullmq"] };

test("everything is measured unless something is named", () => {
  const options = readOptions([], WORDS);
  expect(options).toMatchObject({
    tasks: 20_000,
    rounds: 3,
    quick: false,
    write: false,
    durabilities: ["second", "always"],
  });
  expect(options.only).toBeUndefined();
  expect(options.with).toBeUndefined();
});

test("a quick run does little, but what is asked for stays", () => {
  expect(readOptions(["--quick"], WORDS)).toMatchObject({ tasks: 400, rounds: 1, samples: 20, quick: true });
  expect(readOptions(["--quick", "--tasks", "900"], WORDS).tasks).toBe(900);
});

test("names are taken in a list", () => {
  const args = ["--only", "backlog", "--with", "bullmq,floor", "--durability", "always"];
  expect(readOptions(args, WORDS)).toMatchObject({
    only: ["backlog"],
    with: ["bullmq", "floor"],
    durabilities: ["always"],
  });
});

test.for([
  [["--tasks", "99"], "argument '99' is invalid. Write a whole number from 100 to 1000000."],
  [["--rounds", "0"], "argument '0' is invalid. Write a whole number from 1 to 100."],
  [["--only", "bulk,nothing"], "argument 'bulk,nothing' is invalid. Choose from bulk, backlog."],
  [["--with", "redis"], "argument 'redis' is invalid. Choose from floor, bullmq."],
  [["--durability", "never"], "argument 'never' is invalid. Choose from second, always."],
] as const)("%j is refused in one line", ([args, line]) => {
  expect(() => readOptions(args, WORDS)).toThrow(line);
});
