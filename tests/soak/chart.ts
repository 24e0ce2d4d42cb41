// The soak's course as a picture: one small panel for each process, memory over time. Pure.
import type { Sample } from "./sample.ts";

const PANEL = { width: 360, height: 150, left: 52, top: 26, bottom: 24, right: 24 };
const COLUMNS = 2;
/** Readable on light and on dark ground. */
const INK = "#808890";
const LINES = [
  { resource: "rss", label: "resident", colour: "#3b82c4" },
  { resource: "heap after gc", label: "heap after collection", colour: "#d9773c" },
] as const;

/** An SVG of memory over time for each process that has one from beginning to end. */
export function memoryChart(samples: readonly Sample[], processes: readonly string[]): string {
  const rows = Math.ceil(processes.length / COLUMNS);
  const width = PANEL.width * COLUMNS;
  const height = PANEL.height * rows + 24;
  const panels = processes.map((process, i) => {
    const x = (i % COLUMNS) * PANEL.width;
    const y = Math.floor(i / COLUMNS) * PANEL.height;
    return `<g transform="translate(${x} ${y})">${panel(process, samples)}</g>`;
  });
  const legend = LINES.map(({ label, colour }, i) => {
    const x = PANEL.left + i * 110;
    return `<rect x="${x}" y="${height - 16}" width="14" height="3" fill="${colour}"/><text x="${x + 20}" y="${height - 11}">${label}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="10" fill="${INK}">`,
    ...panels,
    ...legend,
    "</svg>",
    "",
  ].join("\n");
}

function panel(process: string, samples: readonly Sample[]): string {
  const { width, height, left, top, bottom, right } = PANEL;
  const lastSecond = samples.at(-1)?.second ?? 1;
  const values = samples.flatMap(({ processes }) => LINES.map(({ resource }) => processes[process]?.[resource] ?? 0));
  const most = niceBound(Math.max(1, ...values) / 1e6);
  const x = (second: number): number => left + (second / lastSecond) * (width - left - right);
  const y = (megabytes: number): number => height - bottom - (megabytes / most) * (height - top - bottom);
  const grid = [0, most / 2, most].map(
    (value) =>
      `<line x1="${left}" x2="${width - right}" y1="${y(value)}" y2="${y(value)}" stroke="${INK}" stroke-opacity="0.25"/>` +
      `<text x="${left - 6}" y="${y(value) + 3}" text-anchor="end">${value} MB</text>`,
  );
  const minutes = [0, lastSecond / 2, lastSecond].map(
    (second) => `<text x="${x(second)}" y="${height - 8}" text-anchor="middle">${Math.round(second / 60)} min</text>`,
  );
  const lines = LINES.flatMap(({ resource, colour }) => {
    const points = samples.flatMap(({ second, processes }) => {
      const value = processes[process]?.[resource];
      return value === undefined ? [] : [`${x(second).toFixed(1)},${y(value / 1e6).toFixed(1)}`];
    });
    return points.length === 0
      ? []
      : [`<polyline points="${points.join(" ")}" fill="none" stroke="${colour}" stroke-width="1.3"/>`];
  });
  return [`<text x="${left}" y="14" font-size="12">${process}</text>`, ...grid, ...minutes, ...lines].join("");
}

/** The next of 1, 2, 5, 10, 20, … that is not below. */
function niceBound(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((step) => step * power >= value) ?? 10) * power;
}
