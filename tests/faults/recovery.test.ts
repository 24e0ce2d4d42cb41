// What a history says about how long a fault lasted for those who felt it.
import { expect, test } from "vitest";
import type { Execution, FaultMark, HistoryEntry } from "./history.ts";
import { overcome } from "./recovery.ts";

const mark = (at: number, phase: FaultMark["phase"]): FaultMark => ({ what: "fault", at, name: "fault", phase });
const run = (what: "start" | "end", at: number, taskId: string, attempt: number): Execution => ({
  what,
  at,
  taskId,
  attempt,
  execution: `${taskId}/${attempt}`,
  type: "work",
  agentId: "a",
  pid: 1,
});
const history = (...entries: HistoryEntry[]): HistoryEntry[] => entries.toSorted((a, b) => a.at - b.at);

test("recovery counts from the fault, or from its end if there is one", () => {
  const marks = [mark(10, "injected"), mark(15, "recovered"), mark(20, "injected"), mark(50, "healed")];
  expect(overcome(history(...marks, mark(53, "recovered"))).map(({ serviceMs }) => serviceMs)).toEqual([5, 3]);
});

test("a mesh that never recovered has no time", () => {
  expect(overcome([mark(10, "injected")])).toEqual([{ detail: "", serviceMs: undefined, resumeMs: undefined }]);
});

test("an attempt is interrupted if its task's next one starts before it ends, or though it never does", () => {
  const found = overcome(
    history(
      mark(100, "injected"),
      mark(200, "recovered"),
      // Never ended: its agent was killed.
      run("start", 90, "killed", 1),
      run("start", 160, "killed", 2),
      // Ended after its successor began: its agent stood still.
      run("start", 95, "frozen", 1),
      run("start", 180, "frozen", 2),
      run("end", 190, "frozen", 1),
      // Failed by itself, and was tried again.
      run("start", 98, "failed", 1),
      run("end", 99, "failed", 1),
      run("start", 195, "failed", 2),
      // Began after the fault.
      run("start", 110, "later", 1),
      run("start", 199, "later", 2),
    ),
  );
  expect(found).toEqual([{ detail: "", serviceMs: 100, resumeMs: 80 }]);
});

test("what starts after the next fault is not counted for the one before", () => {
  const marks = [mark(100, "injected"), mark(110, "recovered"), mark(150, "injected"), mark(160, "recovered")];
  const found = overcome(history(...marks, run("start", 90, "t", 1), run("start", 155, "t", 2)));
  expect(found.map(({ resumeMs }) => resumeMs)).toEqual([undefined, 5]);
});
