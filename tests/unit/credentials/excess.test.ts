// Nobody can give away what it does not have, however the grants are put together.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Action } from "../../../lib/core/access/action.ts";
import { excessOf } from "../../../lib/core/access/excess.ts";
import type { Grant } from "../../../lib/core/access/principal.ts";
import { covers } from "../../../lib/core/access/task-scope.ts";

const grant = (
  actions: readonly Action[],
  taskTypes: readonly string[] = ["*"],
  labels: Grant["labels"] = {},
): Grant => ({
  actions: new Set(actions),
  taskTypes,
  labels,
});

describe("grants go beyond others", () => {
  test.for<[string, Grant[], Grant[], Action | undefined]>([
    ["not when they are the same", [grant(["task:read"])], [grant(["task:read"])], undefined],
    ["not when they are nothing", [], [], undefined],
    ["by an action", [grant(["task:read"])], [grant(["task:read", "task:cancel"])], "task:cancel"],
    ["by having any", [], [grant(["queue:read"])], "queue:read"],
    ["by a type", [grant(["task:read"], ["echo"])], [grant(["task:read"], ["echo", "code"])], "task:read"],
    ["by all types", [grant(["task:read"], ["code-*"])], [grant(["task:read"])], "task:read"],
    [
      "not by a type of a pattern",
      [grant(["task:read"], ["code-*"])],
      [grant(["task:read"], ["code-x", "code-*-y"])],
      undefined,
    ],
    ["by a wider pattern", [grant(["task:read"], ["code-*"])], [grant(["task:read"], ["code*"])], "task:read"],
    ["by leaving out a label", [grant(["task:read"], ["*"], { team: "a" })], [grant(["task:read"])], "task:read"],
    [
      "by another label",
      [grant(["task:read"], ["*"], { team: "a" })],
      [grant(["task:read"], ["*"], { team: "b" })],
      "task:read",
    ],
    [
      "not by a further label",
      [grant(["task:read"], ["*"], { team: "a" })],
      [grant(["task:read"], ["*"], { team: "a", run: "7" })],
      undefined,
    ],
    [
      "not when several cover them together",
      [grant(["task:read"], ["a-*"]), grant(["task:cancel", "task:read"], ["b"])],
      [grant(["task:read"], ["a-1", "b"])],
      undefined,
    ],
    [
      "by what none of several covers by itself",
      [grant(["task:read"], ["a"]), grant(["task:cancel"], ["b"])],
      [grant(["task:read", "task:cancel"], ["a"])],
      "task:cancel",
    ],
    [
      "by a label that objects have by themselves",
      [grant(["task:read"], ["*"], Object.fromEntries([["toString", "x"]]))],
      [grant(["task:read"])],
      "task:read",
    ],
  ])("%s", ([, own, wanted, excess]) => {
    expect(excessOf(own, wanted)).toBe(excess);
  });
});

test("whatever task grants without excess are about, the others are about, too", () => {
  const pattern = fc.stringMatching(/^[ab*]{1,4}$/);
  const labels = fc.dictionary(fc.constantFrom("x", "y"), fc.constantFrom("1", "2"), { maxKeys: 2 });
  const grants = fc.array(fc.record({ taskTypes: fc.array(pattern, { minLength: 1, maxLength: 2 }), labels }), {
    minLength: 1,
    maxLength: 3,
  });
  const task = fc.record({ taskId: fc.constant("t"), type: fc.stringMatching(/^[ab]{1,6}$/), labels });
  const scopeOf = (of: readonly Pick<Grant, "taskTypes" | "labels">[]) => ({
    rules: of.map(({ taskTypes, labels }) => ({ types: taskTypes, labels })),
  });
  const withAction = (of: readonly Pick<Grant, "taskTypes" | "labels">[]): Grant[] =>
    of.map(({ taskTypes, labels }) => grant(["task:read"], taskTypes, labels));
  let without = 0;
  fc.assert(
    fc.property(grants, grants, fc.array(task, { minLength: 20, maxLength: 20 }), (own, wanted, tasks) => {
      if (excessOf(withAction(own), withAction(wanted)) !== undefined) return;
      without += 1;
      for (const each of tasks) if (covers(scopeOf(wanted), each)) expect(covers(scopeOf(own), each)).toBe(true);
    }),
    { numRuns: 3_000 },
  );
  expect(without).toBeGreaterThan(100);
});
