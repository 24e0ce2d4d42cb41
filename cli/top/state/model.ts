// What the dashboard's user is doing: which screen, what is chosen, what is being typed or asked. Only types, and what follows from them.
import type { Snapshot } from "../data/snapshot.ts";
import type { Story } from "../data/story.ts";

/** The parts of the overview through which one moves. */
export type PanelName = "agents" | "queues" | "latency" | "failures";

/** The parts in the order of Tab. */
export const PANELS: readonly PanelName[] = ["agents", "queues", "latency", "failures"];

/** What is on the screen. */
export type Screen =
  | { readonly kind: "overview" }
  | { readonly kind: "agent"; readonly agentId: string }
  | { readonly kind: "queue"; readonly queue: string }
  | { readonly kind: "task"; readonly taskId: string };

/** What a key can make happen in the mesh. */
export type Deed =
  | { readonly kind: "cancel"; readonly taskId: string }
  | { readonly kind: "retry"; readonly taskId: string }
  | { readonly kind: "pause" | "resume"; readonly queue: string };

/** Something said at the foot of the screen. */
export interface Notice {
  readonly text: string;
  readonly bad: boolean;
}

/** What the user is doing. */
export interface Model {
  /** The screens that were opened, the shown one last. Never empty. */
  readonly screens: readonly Screen[];
  readonly panel: PanelName;
  /** The id of the chosen row, by the list's name; the first row where there is none. */
  readonly chosen: Readonly<Record<string, string>>;
  /** How many lines the shown task's output is scrolled back; 0 follows it. */
  readonly scrolled: number;
  /** Only tasks of these types; all if empty. */
  readonly types: readonly string[];
  /** The filter that is being typed. */
  readonly typing: string | undefined;
  /** What waits for a yes. */
  readonly question: Deed | undefined;
  readonly paused: boolean;
  readonly overlay: "help" | "calls" | undefined;
  readonly notice: Notice | undefined;
}

/** The dashboard as it starts. */
export const START: Model = {
  screens: [{ kind: "overview" }],
  panel: "agents",
  chosen: {},
  scrolled: 0,
  types: [],
  typing: undefined,
  question: undefined,
  paused: false,
  overlay: undefined,
  notice: undefined,
};

/** The screen that is shown. */
export function screenOf({ screens }: Model): Screen {
  return screens.at(-1) ?? { kind: "overview" };
}

/** A list through which one moves: its name, and its rows' ids in the order in which they are shown. */
export interface List {
  readonly name: string;
  readonly ids: readonly string[];
}

/** The list on which keys act; undefined where there is none. */
export function listOf(model: Model, snapshot: Snapshot): List | undefined {
  const screen = screenOf(model);
  if (screen.kind === "task") return undefined;
  if (screen.kind !== "overview") {
    return { name: screen.kind, ids: (snapshot.detail?.tasks.value ?? []).map(({ taskId }) => taskId) };
  }
  return { name: model.panel, ids: idsOf(model.panel, snapshot) };
}

function idsOf(panel: PanelName, { agents, queues, metrics, failures }: Snapshot): string[] {
  switch (panel) {
    case "agents":
      return (agents.value ?? []).map(({ agent }) => agent.agentId);
    case "queues":
      return (queues.value ?? []).map(({ name }) => name);
    case "latency":
      return (metrics.value?.types ?? []).map(({ type }) => type);
    case "failures":
      return (failures.value ?? []).map(({ task }) => task?.taskId ?? "");
  }
}

/** The index of a list's chosen row; 0 where the chosen one is gone. */
export function chosenIndex({ chosen }: Model, { name, ids }: List): number {
  return Math.max(0, ids.indexOf(chosen[name] ?? ""));
}

/** The id of a list's chosen row; undefined if it has no rows. */
export function chosenId(model: Model, list: List): string | undefined {
  return list.ids[chosenIndex(model, list)];
}

/** What a deed is called in a question. */
export function questionText(deed: Deed): string {
  switch (deed.kind) {
    case "cancel":
      return `Cancel task ${deed.taskId}?`;
    case "retry":
      return `Submit ${deed.taskId} again, as a new task?`;
    case "pause":
      return `Pause queue ${deed.queue}? Agents get nothing more from it until it is resumed.`;
    case "resume":
      return `Resume queue ${deed.queue}?`;
  }
}

/** What beside the model a key is judged by. */
export interface Sight {
  readonly snapshot: Snapshot;
  /** The story of the shown task; undefined on other screens. */
  readonly story: Story | undefined;
}
