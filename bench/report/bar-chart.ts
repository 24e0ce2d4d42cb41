// Draws horizontal bars in panels as an SVG, readable on light and dark pages. Knows nothing of what it draws. Pure.

/** One group of bars, on a scale of its own. */
export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
  /** Where the scale ends: a bar of a larger value is as long, and shown to be cut off. The largest value if left out. */
  readonly limit?: number;
}

/** One bar. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The value as it is written at the bar's end. */
  readonly text: string;
  /** `ours` stands out, `limit` is drawn as an outline. */
  readonly role: "ours" | "other" | "limit";
}

const COLUMNS = 2;
const WIDTH = 960;
const MARGIN = 24;
const GAP = 32;
const LABEL_WIDTH = 112;
const TEXT_WIDTH = 64;
const TITLE_HEIGHT = 28;
const BAR_HEIGHT = 14;
const BAR_STEP = 20;
const HEAD_HEIGHT = 40;
const CUT_FROM_END = 24;

const STYLE = `
    text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
    .head { font-size: 16px; font-weight: 600; }
    .title { font-size: 13px; font-weight: 600; }
    .label { text-anchor: end; }
    .page { fill: #ffffff; }
    .ours { fill: #1a66d6; }
    .other { fill: #a9b1bb; }
    .limit { fill: none; stroke: #7a828c; stroke-dasharray: 3 2; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .page { fill: #0d1117; }
      .ours { fill: #6ba6ff; }
      .other { fill: #56606b; }
      .limit { stroke: #8b949e; }
    }
  `;

/** Draws the panels in two columns, each row as high as its highest panel. Bars without a finite value are left out. */
export function barChart(head: string, panels: readonly Panel[]): string {
  const width = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS;
  const parts: string[] = [];
  let top = MARGIN + HEAD_HEIGHT;
  for (let first = 0; first < panels.length; first += COLUMNS) {
    const row = panels.slice(first, first + COLUMNS);
    for (const [column, panel] of row.entries())
      parts.push(panelAt(panel, MARGIN + column * (width + GAP), top, width));
    top += Math.max(...row.map(heightOf)) + GAP;
  }
  const height = top - GAP + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `  <title>${escaped(head)}</title>`,
    `  <style>${STYLE}</style>`,
    `  <rect class="page" width="${WIDTH}" height="${height}" rx="8"/>`,
    `  <text class="head" x="${MARGIN}" y="${MARGIN + 16}">${escaped(head)}</text>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function heightOf({ bars }: Panel): number {
  return TITLE_HEIGHT + bars.length * BAR_STEP;
}

function panelAt(
  { title, bars, limit = Number.POSITIVE_INFINITY }: Panel,
  left: number,
  top: number,
  width: number,
): string {
  const drawn = bars.filter(({ value }) => Number.isFinite(value));
  const most = Math.max(...drawn.map(({ value }) => Math.min(value, limit)), Number.MIN_VALUE);
  const room = width - LABEL_WIDTH - TEXT_WIDTH;
  const start = left + LABEL_WIDTH;
  const lines = drawn.flatMap(({ label, value, text, role }, i) => {
    const y = top + TITLE_HEIGHT + i * BAR_STEP;
    const length = Math.max(1, (Math.min(value, limit) / most) * room);
    const baseline = y + BAR_HEIGHT - 3;
    return [
      `  <text class="label" x="${start - 8}" y="${baseline}">${escaped(label)}</text>`,
      `  <rect class="${role}" x="${start}" y="${y}" width="${length.toFixed(1)}" height="${BAR_HEIGHT}" rx="2"/>`,
      ...(value > limit ? [cutAt(start + length - CUT_FROM_END, y)] : []),
      `  <text x="${(start + length + 6).toFixed(1)}" y="${baseline}">${escaped(text)}</text>`,
    ];
  });
  return [`  <text class="title" x="${left}" y="${top + 14}">${escaped(title)}</text>`, ...lines].join("\n");
}

/** A slanted gap across a bar. */
function cutAt(x: number, y: number): string {
  const [top, bottom] = [y - 1, y + BAR_HEIGHT + 1];
  return `  <path class="page" d="M${x} ${bottom}L${x + 6} ${top}h5L${x + 5} ${bottom}z"/>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
