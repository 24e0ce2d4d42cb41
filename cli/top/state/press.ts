// What a key does: the model after it, and what is to happen because of it. Pure.
import { isDeadLetter, isTerminal, type TaskState } from "../../../lib/core/task-state.ts";
import { stateFromWire } from "../../../lib/wire/state-codec.ts";
import {
  chosenId,
  chosenIndex,
  type Deed,
  listOf,
  type Model,
  type Notice,
  PANELS,
  type Screen,
  screenOf,
  type Sight,
} from "./model.ts";

/** A key that has no character of its own. */
export type NamedKey =
  | "up"
  | "down"
  | "left"
  | "right"
  | "tab"
  | "backtab"
  | "enter"
  | "escape"
  | "backspace"
  | "pageup"
  | "pagedown"
  | "home"
  | "end"
  | "interrupt";

/** One key: a name, or the character that it types. */
export type Key = { readonly name: NamedKey } | { readonly char: string };

/** What follows from a key beside the model: the end, a new look at the mesh, or a deed. */
export type Effect = { readonly kind: "quit" } | { readonly kind: "look" } | Deed;

/** What a key did. */
export interface Pressed {
  readonly model: Model;
  readonly effect?: Effect;
}

/** How many rows PageUp and PageDown go. */
const PAGE = 10;
const MAX_FILTER_LENGTH = 200;

/** Judges a key. */
export function press(before: Model, key: Key, sight: Sight): Pressed {
  if ("name" in key && key.name === "interrupt") return { model: before, effect: { kind: "quit" } };
  const model = { ...before, notice: undefined };
  if (model.question !== undefined) return answered(model, model.question, key);
  if (model.typing !== undefined) return { model: typed(model, model.typing, key), ...effectOfTyping(key) };
  if (model.overlay !== undefined) return overlaid(model, key);
  return "name" in key ? moved(model, key.name, sight) : commanded(model, key.char, sight);
}

// Only a plain yes is a yes.
function answered(model: Model, deed: Deed, key: Key): Pressed {
  const after = { ...model, question: undefined };
  return "char" in key && key.char.toLowerCase() === "y"
    ? { model: after, effect: deed }
    : { model: { ...after, notice: said("nothing was done") } };
}

function typed(model: Model, typing: string, key: Key): Model {
  if ("char" in key) {
    const allowed = key.char.replaceAll(/[^\w,-]/g, "");
    return { ...model, typing: (typing + allowed).slice(0, MAX_FILTER_LENGTH) };
  }
  if (key.name === "backspace") return { ...model, typing: typing.slice(0, -1) };
  if (key.name === "escape") return { ...model, typing: undefined };
  if (key.name !== "enter") return model;
  const types = [...new Set(typing.split(",").filter((type) => type !== ""))];
  return { ...model, typing: undefined, types };
}

function effectOfTyping(key: Key): { effect?: Effect } {
  return "name" in key && key.name === "enter" ? { effect: { kind: "look" } } : {};
}

function overlaid(model: Model, key: Key): Pressed {
  if ("char" in key && key.char === "q") return { model, effect: { kind: "quit" } };
  const toggled = "char" in key ? { "?": "help" as const, g: "calls" as const }[key.char] : undefined;
  return { model: { ...model, overlay: toggled === model.overlay ? undefined : toggled } };
}

function moved(model: Model, name: NamedKey, sight: Sight): Pressed {
  switch (name) {
    case "tab":
    case "right":
      return { model: inNextPanel(model, 1) };
    case "backtab":
    case "left":
      return { model: inNextPanel(model, -1) };
    case "up":
      return { model: stepped(model, -1, sight) };
    case "down":
      return { model: stepped(model, 1, sight) };
    case "pageup":
      return { model: stepped(model, -PAGE, sight) };
    case "pagedown":
      return { model: stepped(model, PAGE, sight) };
    case "home":
      return { model: stepped(model, -Infinity, sight) };
    case "end":
      return { model: stepped(model, Infinity, sight) };
    case "enter":
      return opened(model, sight);
    case "escape":
    case "backspace":
      return closed(model);
    case "interrupt":
      return { model, effect: { kind: "quit" } };
  }
}

function commanded(model: Model, char: string, sight: Sight): Pressed {
  switch (char) {
    case "q":
      return { model, effect: { kind: "quit" } };
    case "?":
      return { model: { ...model, overlay: "help" } };
    case "g":
      return { model: { ...model, overlay: "calls" } };
    case "/":
      return { model: { ...model, typing: model.types.join(",") } };
    case "p":
      return model.paused
        ? { model: { ...model, paused: false }, effect: { kind: "look" } }
        : { model: { ...model, paused: true } };
    case "j":
      return { model: stepped(model, 1, sight) };
    case "k":
      return { model: stepped(model, -1, sight) };
    case "c":
    case "r":
      return { model: askedOfTask(model, char, sight) };
    case "P":
      return { model: askedOfQueue(model, sight) };
    default:
      return { model };
  }
}

function inNextPanel(model: Model, step: 1 | -1): Model {
  if (screenOf(model).kind !== "overview") return model;
  const at = (PANELS.indexOf(model.panel) + step + PANELS.length) % PANELS.length;
  return { ...model, panel: PANELS[at] ?? model.panel };
}

function stepped(model: Model, by: number, sight: Sight): Model {
  const list = listOf(model, sight.snapshot);
  if (list === undefined) {
    // Up is back in time; the view keeps it within what there is.
    const most = sight.story?.lines.length ?? 0;
    return { ...model, scrolled: Math.max(0, Math.min(most, model.scrolled - by)) };
  }
  const last = Math.max(0, list.ids.length - 1);
  const at = Math.max(0, Math.min(last, chosenIndex(model, list) + by));
  const id = list.ids[at];
  return id === undefined ? model : { ...model, chosen: { ...model.chosen, [list.name]: id } };
}

function opened(model: Model, { snapshot }: Sight): Pressed {
  const list = listOf(model, snapshot);
  const id = list === undefined ? undefined : chosenId(model, list);
  if (id === undefined) return { model };
  const screen = screenFor(list?.name ?? "", id);
  if (screen === undefined) return filteredBy(model, id);
  return { model: { ...model, screens: [...model.screens, screen], scrolled: 0 }, effect: { kind: "look" } };
}

function screenFor(list: string, id: string): Screen | undefined {
  if (list === "agents") return { kind: "agent", agentId: id };
  if (list === "queues") return { kind: "queue", queue: id };
  return list === "latency" ? undefined : { kind: "task", taskId: id };
}

// What there is to see of a type is what the filter shows; the same key takes it off.
function filteredBy(model: Model, type: string): Pressed {
  const isOnly = model.types.length === 1 && model.types[0] === type;
  return { model: { ...model, types: isOnly ? [] : [type] }, effect: { kind: "look" } };
}

function closed(model: Model): Pressed {
  if (model.screens.length > 1) {
    return { model: { ...model, screens: model.screens.slice(0, -1), scrolled: 0 }, effect: { kind: "look" } };
  }
  return model.types.length === 0 ? { model } : { model: { ...model, types: [] }, effect: { kind: "look" } };
}

function askedOfTask(model: Model, char: "c" | "r", sight: Sight): Model {
  const found = taskInSight(model, sight);
  if (found === undefined) return { ...model, notice: refusal("choose a task first") };
  const { taskId, state } = found;
  if (char === "c") {
    return isTerminal(state)
      ? { ...model, notice: refusal(`it has ended: ${state}`) }
      : { ...model, question: { kind: "cancel", taskId } };
  }
  return isDeadLetter(state)
    ? { ...model, question: { kind: "retry", taskId } }
    : { ...model, notice: refusal(`only what failed or timed out is submitted again; it is ${state}`) };
}

function taskInSight(model: Model, { snapshot, story }: Sight): { taskId: string; state: TaskState } | undefined {
  const screen = screenOf(model);
  if (screen.kind === "task") {
    return story?.state === undefined ? undefined : { taskId: screen.taskId, state: story.state };
  }
  const list = listOf(model, snapshot);
  const id = list === undefined ? undefined : chosenId(model, list);
  const tasks = [
    ...(snapshot.detail?.tasks.value ?? []),
    ...(snapshot.failures.value ?? []).flatMap(({ task }) => task ?? []),
  ];
  const holdsTasks = screen.kind !== "overview" || model.panel === "failures";
  const task = holdsTasks ? tasks.find(({ taskId }) => taskId === id) : undefined;
  const state = stateFromWire(task?.status?.state ?? 0);
  return id === undefined || state === undefined ? undefined : { taskId: id, state };
}

function askedOfQueue(model: Model, { snapshot }: Sight): Model {
  const screen = screenOf(model);
  const list = listOf(model, snapshot);
  const chosen =
    screen.kind === "overview" && model.panel === "queues" && list !== undefined ? chosenId(model, list) : undefined;
  const name = screen.kind === "queue" ? screen.queue : chosen;
  const queue = snapshot.queues.value?.find((each) => each.name === name);
  if (queue === undefined) return { ...model, notice: refusal("choose a queue first") };
  return { ...model, question: { kind: queue.pause === undefined ? "pause" : "resume", queue: queue.name } };
}

function said(text: string): Notice {
  return { text, bad: false };
}

function refusal(text: string): Notice {
  return { text, bad: true };
}
