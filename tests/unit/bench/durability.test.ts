import { describe, expect, test } from "vitest";
import { readOptions } from "../../../bench/durability/options.ts";
import { reportText } from "../../../bench/durability/report.ts";
import { SETTINGS } from "../../../bench/durability/setting.ts";
import { ENVIRONMENT } from "./environment.ts";

describe("the options of the durability measurement", () => {
  test("are all parts unless some are named", () => {
    expect(readOptions([]).only).toEqual(["kill", "power-cut", "cost"]);
    expect(readOptions(["--only", "cost,kill"]).only).toEqual(["cost", "kill"]);
  });

  test.for([
    [["--only", "flood"], "'flood' is invalid. Choose from kill, power-cut, cost."],
    [["--rounds", "0"], "'0' is invalid. Write a whole number from 1 to 100."],
    [["--load", "x"], "'x' is invalid. Write a whole number from 1 to 600."],
    [["--fast"], "unknown option '--fast'"],
  ] as const)("%j is refused in one line", ([args, line]) => {
    expect(() => readOptions(args)).toThrow(line);
    expect(() => readOptions(args)).toThrow(expect.objectContaining({ message: expect.not.stringContaining("\n") }));
  });
});

test("the report shows what was lost, how old it was, and what could not be measured", () => {
  const loss = { setting: SETTINGS[0], rounds: 3, acknowledged: 5_000 };
  const text = reportText({
    environment: ENVIRONMENT,
    losses: [
      { ...loss, disaster: { kind: "kill", who: "all" }, lost: 0, oldestLostSeconds: 0 },
      { ...loss, disaster: { kind: "power cut", who: "all" }, lost: 4_321, oldestLostSeconds: 3.94 },
    ],
    costs: [],
    remarks: ["no power can be cut here: go was not found"],
  });
  expect(text).toMatch(/R1, sync 2m \(default\) +\| +kill, the server +\| +3 \| +5,000 \| +0 \| +\|/);
  expect(text).toMatch(/power cut, the server +\| +3 \| +5,000 \| +4,321 \| +3\.9 s \|/);
  expect(text).toContain("no power can be cut here");
});
