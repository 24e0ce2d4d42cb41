// The first screen: agents, queues, durations and failures beside and below one another.
import { createElement as h, type ReactElement } from "react";
import { Box } from "ink";
import { harmless } from "../../output/terminal.ts";
import { panel, roomIn } from "../draw/panel.ts";
import { line } from "../draw/words.ts";
import { type Layout, layOut, type Place, type Size } from "../state/layout.ts";
import { chosenIndex, listOf, type PanelName } from "../state/model.ts";
import { agentsContent } from "./agents-view.ts";
import { failuresContent } from "./failures-view.ts";
import { latencyContent } from "./latency-view.ts";
import type { PanelContent } from "./panel-content.ts";
import { queuesContent } from "./queues-view.ts";
import type { View } from "./view.ts";

const CONTENTS: Readonly<Record<PanelName, PanelContent>> = {
  agents: agentsContent,
  queues: queuesContent,
  latency: latencyContent,
  failures: failuresContent,
};

/** Draws the overview. */
export function overview(view: View, room: Size): ReactElement {
  const wants = {
    agents: wantOf(view, "agents"),
    queues: wantOf(view, "queues"),
    latency: wantOf(view, "latency"),
    failures: wantOf(view, "failures"),
  };
  const layout = layOut(room, wants, view.model.panel);
  return h(
    Box,
    { width: room.columns, height: room.rows },
    ...layout.columns.map((places, key) =>
      h(
        Box,
        { key, flexDirection: "column", width: places[0]?.width ?? 0, flexShrink: 0 },
        ...places.map((place) => h(Box, { key: place.name, flexShrink: 0 }, panelAt(view, place, layout))),
      ),
    ),
  );
}

function wantOf(view: View, name: PanelName): number {
  return Math.max(1, CONTENTS[name].count(view));
}

function panelAt(view: View, { name, width, height }: Place, { framed }: Layout): ReactElement {
  const content = CONTENTS[name];
  const focused = view.model.panel === name;
  const told = content.told(view);
  const list = listOf({ ...view.model, panel: name }, view.snapshot);
  const chosen = list === undefined ? 0 : chosenIndex(view.model, list);
  const props = { focused, framed, width, height };
  const stale = told.error === undefined || told.value === undefined ? "" : ` · not answered: ${harmless(told.error)}`;
  const body =
    told.value === undefined
      ? line(["dim", `  ${silence(told)}`])
      : content.body(view, { ...roomIn(props), focused, chosen });
  return panel({ ...props, title: content.title, aside: `${content.aside(view)}${stale}` }, body);
}

function silence({ served, error }: { readonly served: boolean; readonly error: string | undefined }): string {
  if (!served) return "not served by this coordinator";
  return error === undefined ? "…" : harmless(error);
}
