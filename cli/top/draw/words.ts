// Text in a tone: the only place that says what a tone looks like, with colours and without.
import { type Context, createContext, createElement as h, type ReactElement, type ReactNode, useContext } from "react";
import { Text, type TextProps } from "ink";

/** What a piece of text is to the reader. */
export type Tone = "plain" | "dim" | "bold" | "title" | "accent" | "good" | "warn" | "bad" | "chosen" | "key";

/** Whether colours are wanted. */
export const Colours: Context<boolean> = createContext(true);

const LOOKS: Readonly<Record<Tone, Pick<TextProps, "color" | "bold" | "dimColor" | "inverse">>> = {
  plain: {},
  dim: { dimColor: true },
  bold: { bold: true },
  title: { bold: true, color: "cyanBright" },
  accent: { color: "cyan" },
  good: { color: "green" },
  warn: { color: "yellow" },
  bad: { color: "redBright" },
  chosen: { inverse: true },
  key: { bold: true, color: "cyanBright" },
};

/** What {@link Words} takes. */
export interface WordsProps {
  readonly tone?: Tone | undefined;
  /** Whether it stands in a chosen row. */
  readonly chosen?: boolean;
  readonly children?: ReactNode;
}

/** Text on one line, cut where there is no more room. */
export function Words({ tone = "plain", chosen = false, children }: WordsProps): ReactElement {
  const coloured = useContext(Colours);
  // The bar of a chosen row is of one piece.
  const { color, ...look } = chosen ? LOOKS.chosen : LOOKS[tone];
  return h(Text, { ...look, ...(coloured && color !== undefined ? { color } : {}), wrap: "truncate-end" }, children);
}

/** A piece of a line: text alone, or text with its tone. */
export type Piece = string | readonly [tone: Tone, text: string];

/** A line of pieces. */
export function line(...pieces: readonly Piece[]): ReactElement {
  const children = pieces.map((piece, at) =>
    typeof piece === "string" ? piece : h(Words, { key: at, tone: piece[0] }, piece[1]),
  );
  return h(Words, {}, ...children);
}
