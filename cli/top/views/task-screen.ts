// One task: what it is, its states with their times, and what it streams, live.
import { createElement as h, type ReactElement } from "react";
import { Box } from "ink";
import { priorityWord, valueLine } from "../../output/task-view.ts";
import { harmless } from "../../output/terminal.ts";
import { decodePayload } from "../../../sdk/client/payload.ts";
import { isOver, type Story, type StoryLine, type StoryState } from "../data/story.ts";
import { barText, spanText } from "../draw/figures.ts";
import { panel, roomIn } from "../draw/panel.ts";
import { cutTo, table } from "../draw/table.ts";
import { line, type Tone } from "../draw/words.ts";
import type { Size } from "../state/layout.ts";
import { type Fact, factLines, toneOf } from "./facts.ts";
import type { View } from "./view.ts";

const BAR = 30;
const LEAST_OUTPUT = 4;
const NEVER: Story["states"] = [];

/** Draws the screen of a task. */
export function taskScreen(view: View, taskId: string, room: Size): ReactElement {
  const { followed } = view;
  const facts = factsOf(view);
  const framed = room.rows >= 24;
  const frame = framed ? 2 : 1;
  const width = room.columns;
  const factsHeight = facts.length + frame;
  const states = followed?.story.states ?? NEVER;
  const statesHeight = Math.min(states.length + 1 + frame, Math.max(3, Math.floor((room.rows - factsHeight) / 2)));
  const outputHeight = Math.max(LEAST_OUTPUT, room.rows - factsHeight - statesHeight);
  const timeline = { title: "Timeline", focused: false, framed, width, height: statesHeight };
  return h(
    Box,
    { flexDirection: "column", width, height: room.rows, overflow: "hidden" },
    panel(
      { title: `Task ${taskId}`, focused: false, framed, width, height: factsHeight },
      h(Box, { flexDirection: "column" }, ...factLines(facts, roomIn({ framed, width, height: factsHeight }).width)),
    ),
    panel(timeline, statesTable(states, view, roomIn(timeline))),
    outputPanel(view, { columns: width, rows: outputHeight }, framed),
  );
}

function factsOf({ followed }: View): Fact[] {
  const story = followed?.story;
  const { task, status, state } = story ?? {};
  if (task === undefined || status === undefined) return [["state", ["dim", followed?.error ?? "…"]]];
  const queue = task.queue === task.type ? "" : ` in queue ${harmless(task.queue)}`;
  const attempt = status.attempt === 0 ? "" : `   attempt ${status.attempt} of ${status.maximumAttempts}`;
  const by = status.agentId === "" ? "" : ` on ${harmless(status.agentId)}`;
  const reasons = followed?.reasons ?? [];
  const { failure } = status;
  return [
    ["type", ["bold", harmless(task.type)], `${queue}, ${priorityWord(task.priority)} priority`],
    ["state", [toneOf(state), (state ?? "").replace("_", " ")], `${attempt}${by}`],
    ...(reasons.length === 0 ? [] : [["why", ["warn", reasons.join("; ")]] satisfies Fact]),
    ...(failure === undefined
      ? []
      : [["failure", ["bad", harmless(failure.reason)], ` ${harmless(failure.message)}`] satisfies Fact]),
    ...(task.input === undefined ? [] : [["input", valueLine(decodePayload(task.input))] satisfies Fact]),
    ...(story === undefined || story.result === "" ? [] : [["result", story.result] satisfies Fact]),
    ...(status.traceId === "" ? [] : [["trace", ["dim", status.traceId]] satisfies Fact]),
    ...(followed?.error === undefined ? [] : [["", ["warn", followed.error]] satisfies Fact]),
  ];
}

interface Span extends StoryState {
  readonly sinceMs: number;
  readonly lastedMs: number | undefined;
}

function statesTable(
  states: readonly StoryState[],
  view: View,
  room: { readonly width: number; readonly height: number },
): ReactElement {
  const startMs = states[0]?.atMs ?? 0;
  const over = view.followed !== undefined && isOver(view.followed.story);
  const spans = states.map((entry, at): Span => {
    const next = states[at + 1]?.atMs ?? (over ? undefined : view.nowMs);
    return {
      ...entry,
      sinceMs: entry.atMs - startMs,
      lastedMs: next === undefined ? undefined : Math.max(0, next - entry.atMs),
    };
  });
  const longest = Math.max(1, ...spans.map(({ lastedMs = 0 }) => lastedMs));
  return table<Span>({
    ...room,
    rows: spans,
    // The newest stay in sight.
    chosen: spans.length - 1,
    none: "…",
    columns: [
      {
        head: "AT",
        text: ({ sinceMs }) => (sinceMs === 0 ? "0" : `+${spanText(sinceMs)}`),
        right: true,
        tone: () => "dim",
      },
      { head: "STATE", text: ({ state }) => state.replace("_", " "), tone: ({ state }) => toneOf(state) },
      { head: "FOR", text: ({ lastedMs }) => (lastedMs === undefined ? "" : spanText(lastedMs)), right: true },
      {
        head: "",
        text: ({ lastedMs }) => (lastedMs === undefined ? "" : barText(lastedMs / longest, 12).replaceAll("░", " ")),
        tone: ({ state }) => toneOf(state),
        spare: 1,
      },
      { head: "TRY", text: ({ attempt }) => (attempt === 0 ? "" : String(attempt)), right: true },
      { head: "AGENT", text: ({ agentId }) => harmless(agentId), least: 6, most: 36, tone: () => "dim" },
      { head: "", text: ({ text }) => text, grows: true, least: 8, most: 80 },
    ],
  });
}

const LEVELS: Readonly<Record<StoryLine["level"], Tone>> = { debug: "dim", info: "plain", warn: "warn", error: "bad" };

function outputPanel({ followed, model }: View, room: Size, framed: boolean): ReactElement {
  const lines = followed?.story.lines ?? [];
  const progress = followed?.story.progress;
  const props = { title: "Output", focused: true, framed, width: room.columns, height: room.rows };
  const { width, height } = roomIn(props);
  const shownHeight = Math.max(0, height - (progress === undefined ? 0 : 1));
  const last = Math.max(Math.min(shownHeight, lines.length), lines.length - model.scrolled);
  const shown = lines.slice(Math.max(0, last - shownHeight), last);
  const back = lines.length - last;
  const aside = back === 0 ? (lines.length === 0 ? "" : `${lines.length} lines`) : `${back} newer below`;
  const bar =
    progress === undefined
      ? []
      : [
          line(
            ["accent", barText(progress.fraction, Math.min(BAR, width - 8))],
            ` ${Math.round(progress.fraction * 100)}% ${progress.text}`,
          ),
        ];
  const none = followed !== undefined && isOver(followed.story) ? "it streamed nothing" : "nothing yet";
  const text =
    lines.length === 0 && progress === undefined
      ? [line(["dim", `  ${none}`])]
      : shown.map((each) => line([toneOfLine(each), cutTo(prefixed(each), width)]));
  const all = [...bar, ...text].map((each, key) => h(Box, { key, width, height: 1, flexShrink: 0 }, each));
  return panel({ ...props, aside }, h(Box, { flexDirection: "column", width, height }, ...all));
}

function toneOfLine({ kind, level }: StoryLine): Tone {
  return kind === "attempt" ? "warn" : kind === "log" ? LEVELS[level] : "plain";
}

function prefixed({ kind, text, level }: StoryLine): string {
  return kind === "log" ? `${level.toUpperCase()} ${text}` : text;
}
