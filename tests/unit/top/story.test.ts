// What a task's events come to.
import { expect, test } from "vitest";
import { isOver, type Story, tell, untoldStory } from "../../../cli/top/data/story.ts";
import type { TaskEvent } from "../../../sdk/client/index.ts";
import { chunk, log, progress, snapshotEvent, state, SUBMITTED_MS } from "./task-events.ts";

function after(...events: readonly TaskEvent[]): Story {
  return events.reduce(tell, untoldStory("t-42"));
}

function statesOf({ states }: Story): string[] {
  return states.map(({ state, atMs, attempt }) => `${state} ${atMs - SUBMITTED_MS} ${attempt}`);
}

test("a story begins with the submission, and has every state with its time and attempt", () => {
  const story = after(
    snapshotEvent("t-42"),
    state("working", 1, 30),
    state("backing_off", 1, 1_200, "HANDLER_ERROR", "no disk"),
    state("working", 2, 3_000),
    state("completed", 2, 4_000),
  );
  expect(statesOf(story)).toEqual([
    "submitted 0 0",
    "working 30 1",
    "backing_off 1200 1",
    "working 3000 2",
    "completed 4000 2",
  ]);
  expect(story.states[2]?.text).toBe("HANDLER_ERROR: no disk");
  expect(story.result).toBe('{"ok":true}');
  expect(isOver(story)).toBe(true);
});

test("an attempt that ended within moments has its start from its end", () => {
  const story = after(snapshotEvent("t-42"), state("completed", 1, 12, "", "", 5));
  expect(statesOf(story)).toEqual(["submitted 0 0", "working 5 1", "completed 12 1"]);
});

test("a start that was told is not told again", () => {
  const story = after(snapshotEvent("t-42"), state("working", 1, 5, "", "", 5), state("completed", 1, 12, "", "", 5));
  expect(statesOf(story)).toEqual(["submitted 0 0", "working 5 1", "completed 12 1"]);
});

test("text in pieces is one text; anything else has lines of its own", () => {
  const story = after(
    chunk("Hel"),
    chunk("lo\nwor"),
    chunk("ld"),
    log("a log", "warn"),
    chunk("anew"),
    chunk({ a: 1 }),
    chunk("end"),
  );
  expect(story.lines.map(({ kind, text }) => `${kind} ${text}`)).toEqual([
    "chunk Hello",
    "chunk world",
    "log a log",
    "chunk anew",
    'chunk {"a":1}',
    "chunk end",
  ]);
});

test("what a task says cannot move the cursor or change colours", () => {
  const story = after(
    chunk("\u001b[2Jcleared\u0007"),
    log("\u001b]0;title\u0007a\rb", "info"),
    progress(0.5, "\u001b[31mred"),
  );
  expect(story.lines.map(({ text }) => text)).toEqual(["cleared ", "a b"]);
  expect(story.progress).toEqual({ fraction: 0.5, text: "red" });
});

test("a new attempt says so, and its progress begins anew", () => {
  const story = after(snapshotEvent("t-42"), progress(0.9, ""), state("working", 2, 10));
  expect(story.progress).toBeUndefined();
  expect(story.lines.at(-1)).toMatchObject({ kind: "attempt", text: "attempt 2 begins anew" });
});

test("a story does not grow without end", () => {
  const story = after(...Array.from({ length: 2_500 }, (_, i) => chunk({ i })), chunk("x".repeat(10_000)));
  expect(story.lines).toHaveLength(2_000);
  expect(story.lines.at(-1)?.text).toHaveLength(4_000);
});
