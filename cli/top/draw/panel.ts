// A titled part of the screen: in a frame where there is room for one, under a rule where there is not.
import { createElement as h, type ReactElement } from "react";
import { Box } from "ink";
import stringWidth from "string-width";
import { cutTo } from "./table.ts";
import { type Piece, Words, line } from "./words.ts";

/** What {@link panel} takes. */
export interface PanelProps {
  readonly title: string;
  /** Said beside the title: how many there are, say. */
  readonly aside?: string;
  /** Whether keys act on it. */
  readonly focused: boolean;
  readonly framed: boolean;
  /** With the frame. */
  readonly width: number;
  /** With the frame. */
  readonly height: number;
}

/** How much room there is within a panel. */
export function roomIn({ framed, width, height }: Pick<PanelProps, "framed" | "width" | "height">): {
  readonly width: number;
  readonly height: number;
} {
  return framed
    ? { width: Math.max(0, width - 4), height: Math.max(0, height - 2) }
    : { width, height: Math.max(0, height - 1) };
}

/** Draws a panel around its content. */
export function panel(props: PanelProps, content: ReactElement): ReactElement {
  const { title, aside = "", focused, framed, width, height } = props;
  const [left, right] = framed ? ["╭─", "╮"] : ["──", "─"];
  const tone = focused ? "accent" : "dim";
  const told = cutTo(aside === "" ? "" : `${aside} `, Math.max(0, width - title.length - 8));
  const rest = Math.max(0, width - stringWidth(`${left} ${title} ${told}${right}`));
  const head: Piece[] = [
    [tone, `${left} `],
    [focused ? "title" : "bold", title],
    ["dim", ` ${told}`],
    [tone, `${"─".repeat(rest)}${right}`],
  ];
  const room = roomIn(props);
  const body = h(Box, { width: room.width, height: room.height, overflow: "hidden" }, content);
  if (!framed) return h(Box, { flexDirection: "column", width, height, overflow: "hidden" }, line(...head), body);
  const side = h(
    Box,
    { width: 1, height: room.height, overflow: "hidden", flexDirection: "column" },
    ...Array.from({ length: room.height }, (_, key) => h(Words, { key, tone }, "│")),
  );
  return h(
    Box,
    { flexDirection: "column", width, height, overflow: "hidden" },
    line(...head),
    h(Box, { width, height: room.height }, side, h(Box, { width: width - 2, paddingX: 1 }, body), side),
    h(Words, { tone }, `╰${"─".repeat(Math.max(0, width - 2))}╯`),
  );
}
