// What keys do.
import { describe, expect, test } from "vitest";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { keysFrom } from "../../../cli/top/keys.ts";
import { chosenId, listOf, type Model, screenOf, type Sight, START } from "../../../cli/top/state/model.ts";
import { type Effect, type Key, type NamedKey, press } from "../../../cli/top/state/press.ts";
import { untoldStory } from "../../../cli/top/data/story.ts";
import { UNTOLD } from "../../../cli/top/data/snapshot.ts";
import { aTask } from "../../support/mesh-picture.ts";
import { PICTURE, told } from "./picture-view.ts";

const SIGHT: Sight = { snapshot: PICTURE, story: undefined };

/** Presses keys one after the other: names in angle brackets, other characters as they are. */
function after(keys: string, sight: Sight = SIGHT, from: Model = START): { model: Model; effects: Effect[] } {
  const effects: Effect[] = [];
  let model = from;
  for (const [, name, char = ""] of keys.matchAll(/<(\w+)>|(.)/g)) {
    const key: Key = name === undefined ? { char } : { name: name as NamedKey };
    const pressed = press(model, key, sight);
    model = pressed.model;
    if (pressed.effect !== undefined) effects.push(pressed.effect);
  }
  return { model, effects };
}

function chosen(model: Model, sight: Sight = SIGHT): string | undefined {
  const list = listOf(model, sight.snapshot);
  return list === undefined ? undefined : chosenId(model, list);
}

test.for([
  ["", "agents"],
  ["<tab>", "queues"],
  ["<tab><right>", "latency"],
  ["<tab><tab><tab><tab>", "agents"],
  ["<left>", "failures"],
  ["<tab><backtab>", "agents"],
])("%s leads to the panel %s", ([keys, panel]) => expect(after(keys!).model.panel).toBe(panel));

test.for([
  ["", "alpha"],
  ["<up>", "alpha"],
  ["<down>", "beta"],
  ["jjk", "beta"],
  ["<end>", "delta"],
  ["<pagedown><down>", "delta"],
  ["<end><home>", "alpha"],
  ["<tab><down>", "resize-image"],
  ["<left><down>", "t-77aa02"],
])("%s chooses %s", ([keys, id]) => expect(chosen(after(keys!).model)).toBe(id));

test("a chosen row stays chosen when others move", () => {
  const { model } = after("<tab><down>");
  const turned = { ...PICTURE, queues: told(PICTURE.queues.value!.toReversed()) };
  expect(chosen(model, { ...SIGHT, snapshot: turned })).toBe("resize-image");
});

test.for<[keys: string, screen: ReturnType<typeof screenOf>]>([
  ["<enter>", { kind: "agent", agentId: "alpha" }],
  ["<tab><enter>", { kind: "queue", queue: "models" }],
  ["<left><down><enter>", { kind: "task", taskId: "t-77aa02" }],
  ["<enter><escape>", { kind: "overview" }],
])("%s opens a screen, and a look", ([keys, screen]) => {
  const { model, effects } = after(keys);
  expect(screenOf(model)).toEqual(screen);
  expect(effects.at(-1)).toEqual({ kind: "look" });
});

test("a queue's waiting task is opened and left again", () => {
  const detail = {
    focus: { kind: "queue" as const, queue: "models" },
    queue: UNTOLD,
    tasks: told([aTask("t-1"), aTask("t-2")]),
  };
  const sight: Sight = { ...SIGHT, snapshot: { ...PICTURE, detail } };
  const { model } = after("<tab><enter><down><enter>", sight);
  expect(screenOf(model)).toEqual({ kind: "task", taskId: "t-2" });
  expect(screenOf(after("<escape>", sight, model).model)).toEqual({ kind: "queue", queue: "models" });
});

describe("the filter", () => {
  test("is typed, and takes only what a type can be made of", () => {
    expect(after("/ec ho!,\u001bwork<enter>")).toMatchObject({
      model: { types: ["echo", "work"], typing: undefined },
      effects: [{ kind: "look" }],
    });
  });

  test("begins with what it was, and is left as it was", () => {
    const { model } = after("/echo<enter>/");
    expect(model.typing).toBe("echo");
    expect(after("<backspace>xy<escape>", SIGHT, model).model).toMatchObject({ types: ["echo"], typing: undefined });
  });

  test("is set by Enter on a type, and taken off by the same or by Esc", () => {
    const { model } = after("<tab><tab><enter>");
    expect(model.types).toEqual(["resize-image"]);
    expect(after("<enter>", SIGHT, model).model.types).toEqual([]);
    expect(after("<escape>", SIGHT, model).model.types).toEqual([]);
  });

  test("takes keys that would otherwise do something", () => {
    expect(after("/q")).toMatchObject({ model: { typing: "q" }, effects: [] });
  });
});

describe("a deed", () => {
  test.for<[keys: string, effect: Effect]>([
    ["<left>ry", { kind: "retry", taskId: "t-9f31c0" }],
    ["<tab>PY", { kind: "resume", queue: "models" }],
    ["<tab><down>Py", { kind: "pause", queue: "resize-image" }],
    ["<tab><enter>Py", { kind: "resume", queue: "models" }],
  ])("%s is done", ([keys, effect]) => expect(after(keys).effects.at(-1)).toEqual(effect));

  test.for(["n", "<escape>", "<enter>", " ", "q", "<down>"])("is not done for the answer %s", (answer) => {
    const { model, effects } = after(`<tab>P${answer}`);
    expect(effects).toEqual([]);
    expect(model).toMatchObject({ question: undefined, notice: { text: "nothing was done" } });
  });

  test.for([
    ["c", "choose a task first"],
    ["r", "choose a task first"],
    ["P", "choose a queue first"],
    ["<left>c", "it has ended: failed"],
  ])("%s is refused: %s", ([keys, text]) => {
    expect(after(keys!).model).toMatchObject({ question: undefined, notice: { text, bad: true } });
  });

  test("cancels the shown task while it is open, and retries it only when it failed", () => {
    const from: Model = { ...START, screens: [{ kind: "overview" }, { kind: "task", taskId: "t-42" }] };
    const open: Sight = { ...SIGHT, story: { ...untoldStory("t-42"), state: "working" } };
    expect(after("cy", open, from).effects).toEqual([{ kind: "cancel", taskId: "t-42" }]);
    expect(after("r", open, from).model.notice?.text).toMatch(/only what failed or timed out/);
    const dead: Sight = { ...SIGHT, story: { ...untoldStory("t-42"), state: "timed_out" } };
    expect(after("ry", dead, from).effects).toEqual([{ kind: "retry", taskId: "t-42" }]);
  });

  test("cancels an agent's running task", () => {
    const detail = {
      focus: { kind: "agent" as const, agentId: "alpha" },
      queue: undefined,
      tasks: told([aTask("t-7", { status: { state: TaskState.WORKING } })]),
    };
    expect(after("<enter>cy", { ...SIGHT, snapshot: { ...PICTURE, detail } }).effects.at(-1)).toEqual({
      kind: "cancel",
      taskId: "t-7",
    });
  });
});

test("p holds the screen, and goes on with a look", () => {
  const { model, effects } = after("p");
  expect([model.paused, effects]).toEqual([true, []]);
  expect(after("p", SIGHT, model)).toMatchObject({ model: { paused: false }, effects: [{ kind: "look" }] });
});

test.for([
  ["?", "help"],
  ["??", undefined],
  ["g", "calls"],
  ["?g", "calls"],
  ["g<escape>", undefined],
])("%s shows %s", ([keys, overlay]) => expect(after(keys!).model.overlay).toBe(overlay));

test.for(["q", "<interrupt>", "?q", "/<interrupt>", "<tab>P<interrupt>"])("%s quits", (keys) => {
  expect(after(keys).effects).toEqual([{ kind: "quit" }]);
});

test("keys that come together are told one by one", () => {
  const none = { ctrl: false, shift: false, tab: false, meta: false } as Parameters<typeof keysFrom>[1];
  expect(keysFrom("\tj\rq", none)).toEqual([{ name: "tab" }, { char: "j" }, { name: "enter" }, { char: "q" }]);
  expect(keysFrom("c", { ...none, ctrl: true })).toEqual([{ name: "interrupt" }]);
  expect(keysFrom("", { ...none, tab: true, shift: true })).toEqual([{ name: "backtab" }]);
});
