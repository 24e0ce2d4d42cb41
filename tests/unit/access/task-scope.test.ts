import { describe, expect, test } from "vitest";
import type { Action } from "../../../lib/core/access/action.ts";
import { matchesGlob } from "../../../lib/core/access/glob.ts";
import type { Grant, Principal } from "../../../lib/core/access/principal.ts";
import { covers, coversType, mayDo, mayDoWithAll, taskScopeOf } from "../../../lib/core/access/task-scope.ts";

test.for<[string, string, boolean]>([
  ["echo", "echo", true],
  ["echo", "echo2", false],
  ["echo", "Echo", false],
  ["", "", true],
  ["", "a", false],
  ["*", "", true],
  ["*", "anything", true],
  ["code-*", "code-", true],
  ["code-*", "code-analysis", true],
  ["code-*", "a-code-analysis", false],
  ["*-x", "a-x", true],
  ["*-x", "-x", true],
  ["*-x", "a-x-", false],
  ["a*b*c", "abc", true],
  ["a*b*c", "a1b2b3c", true],
  ["a*b*c", "acb", false],
  ["ab*ba", "aba", false],
  ["a*a", "a", false],
  ["a.c", "abc", false],
  ["**", "x", true],
])("the pattern %j on %j: %j", ([pattern, text, matches]) => {
  expect(matchesGlob(pattern, text)).toBe(matches);
});

test("a pattern of many stars takes no longer than its length", () => {
  expect(matchesGlob("a*".repeat(20_000) + "b", "a".repeat(50_000))).toBe(false);
});

function grant(actions: readonly Action[], taskTypes: readonly string[] = ["*"], labels = {}): Grant {
  return { actions: new Set(actions), taskTypes, labels };
}

function principal(grants: readonly Grant[], more: Partial<Principal> = {}): Principal {
  return { kind: "token", id: "a", tenant: "t", grants, expiresMs: Infinity, ...more };
}

function task(type: string, labels: Record<string, string> = {}, taskId = "x") {
  return { taskId, type, labels };
}

describe("a principal", () => {
  test("may do with all tasks what one of its grants allows without restriction", () => {
    const who = principal([grant(["task:read"], ["echo"]), grant(["task:read", "task:cancel"])]);
    expect(taskScopeOf(who, "task:read")).toBeUndefined();
    expect(mayDoWithAll(who, "task:read")).toBe(true);
    expect(mayDo(who, "task:submit")).toBe(false);
    expect(covers(taskScopeOf(who, "task:submit"), task("echo"))).toBe(false);
  });

  test("may do something with the tasks of any of its grants that allow it, and of no other", () => {
    const who = principal([
      grant(["task:read"], ["code-*"], { team: "a" }),
      grant(["task:read"], ["echo"]),
      grant(["task:cancel"]),
    ]);
    const scope = taskScopeOf(who, "task:read");
    expect(mayDo(who, "task:read")).toBe(true);
    expect(mayDoWithAll(who, "task:read")).toBe(false);
    expect(covers(scope, task("echo"))).toBe(true);
    expect(covers(scope, task("code-review", { team: "a", more: "b" }))).toBe(true);
    expect(covers(scope, task("code-review", { team: "b" }))).toBe(false);
    expect(covers(scope, task("code-review"))).toBe(false);
    expect(covers(scope, task("other", { team: "a" }))).toBe(false);
    expect(coversType(scope, "echo")).toBe(true);
    expect(coversType(scope, "code-review")).toBe(false);
  });

  test("that may see one task sees no other, whatever its grants are about", () => {
    const everything = taskScopeOf(principal([grant(["task:read"])], { taskId: "x" }), "task:read");
    expect(covers(everything, task("echo"))).toBe(true);
    expect(covers(everything, task("echo", {}, "y"))).toBe(false);
    expect(coversType(everything, "echo")).toBe(false);
    const some = taskScopeOf(principal([grant(["task:read"], ["echo"])], { taskId: "x" }), "task:read");
    expect(covers(some, task("other"))).toBe(false);
  });

  test("is not given a task whose labels only look like what is asked for", () => {
    const scope = taskScopeOf(principal([grant(["task:read"], ["*"], { constructor: "a" })]), "task:read");
    expect(covers(scope, task("echo"))).toBe(false);
    expect(covers(scope, task("echo", { constructor: "a" }))).toBe(true);
  });
});
