// A picture of a terminal's screen, colours included: an SVG that any browser shows.
import type { IBufferCell, Terminal } from "@xterm/headless";

const CELL = { width: 8.4, height: 18 };
const MARGIN = 12;
const INK = "#d8dee9";
const PAPER = "#14181f";
// The sixteen colours of a terminal.
const PALETTE: readonly string[] =
  "#3b4252 #e5707a #8fce7e #e8c268 #6ea8fe #c58be0 #4fc1d6 #d8dee9 #5a6578 #ff8189 #a8e597 #ffd97a #8cbcff #d9a5f0 #74dcef #ffffff".split(
    " ",
  );

interface Run {
  readonly from: number;
  readonly look: string;
  readonly paper: string | undefined;
  text: string;
  columns: number;
}

/** Draws what is on the screen. */
export function pictureOf(terminal: Terminal): string {
  const { cols, rows } = terminal;
  const [width, height] = [cols * CELL.width + 2 * MARGIN, rows * CELL.height + 2 * MARGIN];
  const lines = Array.from({ length: rows }, (_, y) =>
    runsOf(terminal, y)
      .map((run) => drawn(run, y))
      .join(""),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${round(width)} ${round(height)}" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">`,
    `<rect width="100%" height="100%" rx="8" fill="${PAPER}"/>`,
    ...lines.filter((line) => line !== ""),
    "</svg>\n",
  ].join("\n");
}

function runsOf(terminal: Terminal, y: number): Run[] {
  const { active } = terminal.buffer;
  const line = active.getLine(active.baseY + y);
  const runs: Run[] = [];
  for (let x = 0; x < terminal.cols; x += 1) {
    const cell = line?.getCell(x);
    if (cell === undefined || cell.getWidth() === 0) continue;
    const [look, paper] = looksOf(cell);
    const last = runs.at(-1);
    const chars = cell.getChars() === "" ? " " : cell.getChars();
    if (last?.look === look && last.paper === paper) {
      last.text += chars;
      last.columns += cell.getWidth();
    } else runs.push({ from: x, look, paper, text: chars, columns: cell.getWidth() });
  }
  return runs;
}

function looksOf(cell: IBufferCell): [look: string, paper: string | undefined] {
  const colour = cell.isFgPalette() ? (PALETTE[cell.getFgColor()] ?? INK) : INK;
  const inverse = cell.isInverse() !== 0;
  const weight = cell.isBold() !== 0 ? ' font-weight="700"' : "";
  const dim = cell.isDim() !== 0 && !inverse ? ' opacity="0.6"' : "";
  return [`fill="${inverse ? PAPER : colour}"${weight}${dim}`, inverse ? colour : undefined];
}

function drawn({ from, look, paper, text, columns }: Run, y: number): string {
  const x = round(MARGIN + from * CELL.width);
  const width = round(columns * CELL.width);
  const top = round(MARGIN + y * CELL.height);
  const back =
    paper === undefined ? "" : `<rect x="${x}" y="${top}" width="${width}" height="${CELL.height}" fill="${paper}"/>`;
  if (text.trim() === "") return back;
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `${back}<text x="${x}" y="${round(top + 14)}" textLength="${width}" lengthAdjust="spacingAndGlyphs" xml:space="preserve" ${look}>${escaped}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
