// Numbers, durations, bars and curves in a few characters. Pure.
import { formatDuration } from "../../duration.ts";

const STEPS = " ▁▂▃▄▅▆▇█";

/** A count in at most five characters, e.g. `950`, `12.3k`, `4.5M`. */
export function countText(count: number): string {
  if (count < 10_000) return String(Math.round(count));
  for (const [factor, unit] of [
    [1e3, "k"],
    [1e6, "M"],
    [1e9, "G"],
  ] as const) {
    const value = count / factor;
    if (value < 999.5) return `${value < 99.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
  }
  return "∞";
}

/** A rate in at most five characters, e.g. `0`, `0.3`, `12.5`, `1234`. */
export function rateText(perSecond: number): string {
  if (perSecond === 0) return "0";
  if (perSecond < 0.05) return "<0.1";
  return perSecond < 99.95 ? String(Number(perSecond.toFixed(1))) : countText(perSecond);
}

/** A share, e.g. `99.9%`; only what is a round hundred is told as one. */
export function percentText(share: number): string {
  return `${Math.floor(share * 1_000) / 10}%`;
}

/** A duration with two figures' worth of precision, in at most six characters, e.g. `<1ms`, `4.2ms`, `850ms`, `1.5s`, `12m`. */
export function spanText(ms: number): string {
  if (ms < 1) return "<1ms";
  if (ms < 9.95) return `${ms.toFixed(1)}ms`;
  if (ms < 999.5) return `${Math.round(ms)}ms`;
  return ms < 59_950 ? `${(ms / 1000).toFixed(1)}s` : formatDuration(ms);
}

/** How long ago something was, e.g. `now`, `3s`, `12m`; never negative. */
export function ageText(ms: number): string {
  return ms < 1000 ? "now" : formatDuration(ms);
}

/** How long ago something was, in words, e.g. `now`, `3s ago`. */
export function agoText(ms: number): string {
  return ms < 1000 ? "now" : `${ageText(ms)} ago`;
}

/** A bar of a share from 0 to 1. Only nothing at all is an empty bar. */
export function barText(share: number, width: number): string {
  const full = Math.min(width, share > 0 ? Math.max(1, Math.round(share * width)) : 0);
  return "█".repeat(full) + "░".repeat(width - full);
}

/** A curve of the last values, as high as the highest of them; as long as there is room it grows to the right. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width);
  const top = Math.max(...shown, 0);
  const step = (value: number): string =>
    // Something is never drawn like nothing.
    STEPS[top === 0 ? 1 : Math.max(value > 0 ? 2 : 1, Math.round((value / top) * (STEPS.length - 1)))] ?? " ";
  return shown.map(step).join("").padEnd(width);
}
