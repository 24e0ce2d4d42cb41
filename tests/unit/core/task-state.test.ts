// The drawing in docs/task-states.md and the table in the code are the same.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { canFollow, isDeadLetter, isTerminal, TASK_STATES, type TaskState } from "../../../lib/core/task-state.ts";

const text = readFileSync(new URL("../../../docs/task-states.md", import.meta.url), "utf8");
const diagram = /```mermaid\nstateDiagram-v2\n(?<body>[^`]*)```/.exec(text)?.groups?.["body"] ?? "";
const drawn = [...diagram.matchAll(/^\s*(\S+) --> (\S+)$/gm)].map(([, from = "", to = ""]) => `${from} --> ${to}`);
const cells = TASK_STATES.flatMap((from) => TASK_STATES.map((to): [TaskState, TaskState] => [from, to]));

describe("the drawing", () => {
  test.for(cells)("agrees about %s -> %s", ([from, to]) => {
    expect(drawn.includes(`${from} --> ${to}`)).toBe(canFollow(from, to));
  });

  test("draws every arrow once, between states that exist, and reads completely", () => {
    const names = new Set<string>(["[*]", ...TASK_STATES]);
    expect(new Set(drawn).size).toBe(drawn.length);
    for (const arrow of drawn) for (const name of arrow.split(" --> ")) expect(names).toContain(name);
    expect(drawn).toHaveLength(diagram.split("\n").filter((line) => line.trim() !== "").length);
  });

  test.for([...TASK_STATES])("ends at %s exactly if nothing can follow it", (state) => {
    expect(drawn.includes(`${state} --> [*]`)).toBe(isTerminal(state));
    expect(TASK_STATES.some((to) => canFollow(state, to))).toBe(!isTerminal(state));
  });

  test.for([...TASK_STATES])("has its paragraph about %s", (state) => {
    expect(text).toContain(`\n**${state}.** `);
  });
});

test("failed and timed-out tasks are dead letters, and no others", () => {
  expect(TASK_STATES.filter(isDeadLetter)).toEqual(["failed", "timed_out"]);
});
