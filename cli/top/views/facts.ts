// Names and values below one another, and a list of tasks: what the screens of one thing are made of.
import { createElement as h, type ReactElement } from "react";
import { Box } from "ink";
import type { Task } from "../../../gen/mycel/v1/task_pb.ts";
import type { TaskState } from "../../../lib/core/task-state.ts";
import { stateFromWire } from "../../../lib/wire/state-codec.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { priorityWord } from "../../output/task-view.ts";
import { harmless } from "../../output/terminal.ts";
import { LIMITS } from "../data/feed.ts";
import type { Told } from "../data/snapshot.ts";
import { ageText } from "../draw/figures.ts";
import { panel, roomIn } from "../draw/panel.ts";
import { table, type TableColumn } from "../draw/table.ts";
import { line, type Piece, type Tone } from "../draw/words.ts";
import type { Size } from "../state/layout.ts";
import { chosenIndex, listOf } from "../state/model.ts";
import type { View } from "./view.ts";

/** A name and what it is; the pieces of an empty one are left out. */
export type Fact = readonly [name: string, ...value: Piece[]];

const NAME_WIDTH = 11;

/** The tone of a state. */
export function toneOf(state: TaskState | undefined): Tone {
  if (state === "completed") return "good";
  if (state === "failed" || state === "timed_out") return "bad";
  if (state === "canceled" || state === "backing_off") return "warn";
  return state === "working" ? "accent" : "plain";
}

/** The lines of facts, each cut to the width. */
export function factLines(facts: readonly Fact[], width: number): ReactElement[] {
  return facts.map(([name, ...value]) =>
    h(Box, { key: name, width, height: 1, flexShrink: 0 }, line(["dim", name.padEnd(NAME_WIDTH)], ...value)),
  );
}

/** A panel of tasks among which one is chosen. */
export function tasksPanel(
  view: View,
  title: string,
  none: string,
  told: Told<readonly Task[]>,
  room: Size,
): ReactElement {
  const { model, snapshot, nowMs } = view;
  const tasks = told.value ?? [];
  const list = listOf(model, snapshot);
  const props = { focused: true, framed: room.rows >= 12, width: room.columns, height: room.rows };
  const body =
    told.value === undefined
      ? line(["dim", `  ${told.error === undefined ? "…" : harmless(told.error)}`])
      : table({
          ...roomIn(props),
          columns: columnsFor(nowMs),
          rows: tasks,
          chosen: list === undefined ? 0 : chosenIndex(model, list),
          focused: true,
          none,
        });
  return panel({ ...props, title, aside: countOf(tasks) }, body);
}

function countOf({ length }: readonly Task[]): string {
  if (length === 0) return "";
  return length === LIMITS.tasks ? `the newest ${length}` : String(length);
}

function columnsFor(nowMs: number): TableColumn<Task>[] {
  const stateOf = ({ status }: Task): TaskState | undefined => stateFromWire(status?.state ?? 0);
  const age = (ms: number | undefined): string => (ms === undefined ? "–" : ageText(nowMs - ms));
  return [
    { head: "TASK", text: ({ taskId }) => taskId, least: 20, most: 40 },
    { head: "TYPE", text: ({ type }) => harmless(type), least: 8, most: 24 },
    { head: "STATE", text: (task) => stateOf(task) ?? "", tone: (task) => toneOf(stateOf(task)) },
    { head: "PRIO", text: ({ priority }) => priorityWord(priority), spare: 2 },
    { head: "TRY", text: ({ status }) => `${status?.attempt ?? 0}/${status?.maximumAttempts ?? 0}`, right: true },
    { head: "AGE", text: ({ createTime }) => age(msFromTimestamp(createTime)), right: true },
    { head: "IN STATE", text: ({ status }) => age(msFromTimestamp(status?.updateTime)), right: true, spare: 1 },
    {
      head: "NEXT",
      text: ({ status }) => nextText(msFromTimestamp(status?.nextAttemptTime), nowMs),
      right: true,
      spare: 3,
    },
    {
      head: "",
      text: ({ status }) => harmless(status?.failure?.message ?? ""),
      tone: () => "dim",
      least: 0,
      most: 60,
      grows: true,
      spare: 4,
    },
  ];
}

function nextText(nextMs: number | undefined, nowMs: number): string {
  return nextMs === undefined ? "–" : `in ${ageText(Math.max(0, nextMs - nowMs))}`;
}
