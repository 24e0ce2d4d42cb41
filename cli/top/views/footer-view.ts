// The foot of the screen: the keys that do something here, or what is asked, typed or said.
import type { ReactElement } from "react";
import { isDeadLetter } from "../../../lib/core/task-state.ts";
import { line, type Piece } from "../draw/words.ts";
import { type Model, questionText, screenOf } from "../state/model.ts";
import type { View } from "./view.ts";

/** Draws the footer: one line. */
export function footerView(view: View): ReactElement {
  const { model } = view;
  if (model.question !== undefined)
    return line(["warn", questionText(model.question)], "  ", ["key", "y"], " yes  ", ["key", "n"], " no");
  if (model.typing !== undefined) {
    return line(
      ["title", "only types: "],
      model.typing,
      ["chosen", " "],
      ["dim", "  separated by commas; Enter sets, Esc leaves it as it was"],
    );
  }
  if (model.notice !== undefined) return line([model.notice.bad ? "warn" : "good", model.notice.text]);
  return line(...keysOf(view).flatMap(([key, text]): Piece[] => [["key", key], ` ${text}  `]));
}

function keysOf({ model, followed }: View): (readonly [key: string, text: string])[] {
  if (model.overlay !== undefined)
    return [
      ["Esc", "back"],
      ["q", "quit"],
    ];
  const pause = [["p", model.paused ? "go on" : "pause"]] as const;
  const rest = [...pause, ["g", "grpcurl"], ["?", "help"], ["q", "quit"]] as const;
  switch (screenOf(model).kind) {
    case "overview":
      return [
        ["Tab", "panel"],
        ["↑↓", "choose"],
        ["Enter", enterText(model)],
        ...ownKeys(model),
        ["/", "filter"],
        ...rest,
      ];
    case "agent":
      return [["Esc", "back"], ["↑↓", "choose"], ["Enter", "task"], ["c", "cancel"], ...rest];
    case "queue":
      return [["Esc", "back"], ["↑↓", "choose"], ["Enter", "task"], ["P", "pause or resume"], ["c", "cancel"], ...rest];
    case "task": {
      const state = followed?.story.state;
      const deed = state === undefined ? [] : isDeadLetter(state) ? [["r", "again"] as const] : [];
      const isOpen = state !== undefined && ["submitted", "scheduled", "working", "backing_off"].includes(state);
      return [
        ["Esc", "back"],
        ["↑↓", "output"],
        ...deed,
        ...(isOpen ? [["c", "cancel"] as const] : []),
        ["g", "grpcurl"],
        ["?", "help"],
        ["q", "quit"],
      ];
    }
  }
}

function enterText({ panel }: Model): string {
  return panel === "latency" ? "only it" : "open";
}

function ownKeys({ panel }: Model): (readonly [key: string, text: string])[] {
  if (panel === "queues") return [["P", "pause or resume"]];
  return panel === "failures" ? [["r", "again"]] : [];
}
