// What the screens look like, as functions of a snapshot and a size. The pictures stand beside this file.
import stringWidth from "string-width";
import { describe, expect, test } from "vitest";
import { emptySnapshot, type Snapshot, UNTOLD } from "../../../cli/top/data/snapshot.ts";
import { type Story, tell, untoldStory } from "../../../cli/top/data/story.ts";
import { type Model, START } from "../../../cli/top/state/model.ts";
import type { View } from "../../../cli/top/views/view.ts";
import { callLines } from "../../../cli/top/state/calls.ts";
import { aTask, PICTURE_MS } from "../../support/mesh-picture.ts";
import { chunk, log, progress, snapshotEvent, state } from "./task-events.ts";
import { aView, linesOf, PICTURE, told } from "./picture-view.ts";

const SIZES: readonly (readonly [columns: number, rows: number])[] = [
  [80, 24],
  [200, 50],
  [40, 10],
  [61, 13],
  [149, 30],
  [150, 29],
  [300, 90],
];

const QUEUE: Model = { ...START, screens: [...START.screens, { kind: "queue", queue: "models" }] };
const AGENT: Model = { ...START, screens: [...START.screens, { kind: "agent", agentId: "alpha" }] };
const TASK: Model = { ...START, screens: [...START.screens, { kind: "task", taskId: "t-42" }] };
const WAITING: Snapshot = {
  ...PICTURE,
  detail: {
    focus: { kind: "queue", queue: "models" },
    queue: UNTOLD,
    tasks: told([aTask("r-CXBbNgyKu-EvhgT03mXoZG"), aTask("r-9OYRtSaVXlBJh-xtXBtxq_")]),
  },
};
const STORY: Story = [
  snapshotEvent("t-42"),
  state("working", 1, 30),
  log("reading cat.png", "info"),
  state("backing_off", 1, 1_200, "HANDLER_ERROR", "the disk is full"),
  state("working", 2, 3_000),
  progress(0.42, "tile 5 of 12"),
  chunk({ tile: 1, bytes: 4_096 }),
  chunk("a text that comes "),
  chunk("in pieces\nand goes on"),
].reduce(tell, untoldStory("t-42"));

const SCREENS: Readonly<Record<string, Partial<View>>> = {
  overview: {},
  "overview-failures": { model: { ...START, panel: "failures", chosen: { failures: "t-77aa02" } } },
  agent: {
    model: AGENT,
    snapshot: { ...WAITING, detail: { ...WAITING.detail!, focus: { kind: "agent", agentId: "alpha" } } },
  },
  queue: { model: QUEUE, snapshot: WAITING },
  task: { model: TASK, followed: { story: STORY, reasons: [], error: undefined } },
  help: { model: { ...START, overlay: "help" } },
  calls: {
    model: { ...QUEUE, overlay: "calls" },
    calls: callLines(QUEUE, 300_000, { url: "http://mesh-1:8080", caFile: undefined, insecure: false }),
  },
};

describe.each(Object.keys(SCREENS))("the screen %s", (name) => {
  test.each([
    [80, 24],
    [200, 50],
  ])("at %i × %i is as it was", async (columns, rows) => {
    const lines = linesOf(aView(columns, rows, SCREENS[name]));
    const picture = `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
    await expect(picture).toMatchFileSnapshot(`pictures/${name}-${columns}x${rows}.txt`);
  });

  test.each(SIZES)("fills %i × %i and is nowhere larger", (columns, rows) => {
    const lines = linesOf(aView(columns, rows, SCREENS[name]));
    expect(lines).toHaveLength(rows);
    expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(columns);
  });
});

test("a terminal that is too small is told so", () => {
  expect(linesOf(aView(39, 9))[0]).toBe("At least 40 × 10 characters, please.");
});

test("what tasks say is made harmless, also where it is cut", () => {
  const frame = linesOf(aView(200, 50)).join("\n");
  expect(frame).toContain("the model said no and 図 another 画像");
});

test("a coordinator without metrics is no reason to say anything else", () => {
  const none = { ...UNTOLD, served: false };
  const frame = linesOf(aView(80, 24, { snapshot: { ...PICTURE, metrics: none, pulse: none } })).join("\n");
  expect(frame).toContain("rates are not served by this coordinator");
  expect(frame).toMatch(/Durations ─+\n {2}not served by this coordinator/);
  expect(frame).toContain("alpha");
});

test("a mesh that is lost is told, and what was known stays", () => {
  const snapshot: Snapshot = {
    ...PICTURE,
    lostSinceMs: PICTURE_MS - 12_000,
    queues: { ...PICTURE.queues, error: "nobody answers" },
    agents: { ...UNTOLD, error: "nobody answers" },
  };
  const frame = linesOf(aView(100, 24, { snapshot })).join("\n");
  expect(frame).toContain("No coordinator serves (12s). What follows was known before. Trying again…");
  expect(frame).toMatch(/Queues .*· not answered: nobody answers/);
  expect(frame).toContain("resize-image");
  expect(frame).toMatch(/Agents .*\n {2}nobody answers/);
});

test("before the first look nothing is said that is not known", () => {
  const frame = linesOf(aView(80, 24, { snapshot: emptySnapshot(PICTURE_MS) })).join("\n");
  expect(frame).not.toMatch(/none|no task|0\/s/);
});

test("a question, a filter and a notice stand at the foot", () => {
  const foot = (model: Partial<Model>): string => linesOf(aView(80, 24, { model: { ...START, ...model } })).at(-1)!;
  expect(foot({ question: { kind: "cancel", taskId: "t-1" } })).toMatch(/^Cancel task t-1\? {2}y yes {2}n no/);
  expect(foot({ typing: "echo,resi" })).toMatch(/^only types: echo,resi/);
  expect(foot({ notice: { text: "t-1 is canceled", bad: false } })).toBe("t-1 is canceled");
});

test("a chosen row far down is in sight", () => {
  const many = Array.from({ length: 500 }, (_, i) => ({
    ...PICTURE.agents.value![0]!,
    agent: { ...PICTURE.agents.value![0]!.agent, agentId: `agent-${i}` },
  }));
  const view = aView(80, 24, {
    snapshot: { ...PICTURE, agents: told(many) },
    model: { ...START, chosen: { agents: "agent-250" } },
  });
  expect(linesOf(view).join("\n")).toMatch(/▸ agent-250/);
});

test("a task's output follows its end, and can be scrolled back", () => {
  const long = Array.from({ length: 100 }, (_, i) => chunk({ line: i })).reduce(tell, STORY);
  const view = (scrolled: number): string =>
    linesOf(
      aView(80, 24, { model: { ...TASK, scrolled }, followed: { story: long, reasons: [], error: undefined } }),
    ).join("\n");
  expect(view(0)).toContain('{"line":99}');
  expect(view(20)).not.toContain('{"line":99}');
  expect(view(20)).toContain('{"line":79}');
  expect(view(20)).toContain("20 newer below");
});
