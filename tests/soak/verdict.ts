// Whether a process holds at the end what it held at the beginning. Pure.
import type { Holdings } from "./sample.ts";

/** One resource of one process, before and after. */
export interface Comparison {
  readonly process: string;
  readonly resource: string;
  readonly before: number;
  readonly after: number;
  /** The most that it may be after. */
  readonly bound: number;
  readonly returned: boolean;
}

/** How far a resource may be above its baseline: a share of it and an amount. What is not named here is not judged. */
const SLACK: ReadonlyMap<string, { readonly share: number; readonly amount: number }> = new Map([
  // Compiled code and caches of bounded size still grow a little after the warm-up.
  ["heap after gc", { share: 0.15, amount: 3_000_000 }],
  ["external", { share: 0.15, amount: 2_000_000 }],
  // What V8 and the allocators have taken, which they give back when they like: only what runs away is found here.
  ["rss", { share: 1, amount: 32_000_000 }],
  // Connections to a second replica, kept by whoever has used it.
  ["handles", { share: 0, amount: 4 }],
  ["file descriptors", { share: 0, amount: 4 }],
  ["threads", { share: 0, amount: 4 }],
  ["connections", { share: 0, amount: 0 }],
  // An idle interest of a client's, e.g. in answers, is made with its first use.
  ["subscriptions", { share: 0, amount: 4 }],
  ["streams", { share: 0, amount: 0 }],
  ["consumers", { share: 0, amount: 0 }],
  ["messages", { share: 0, amount: 50 }],
]);

/** Compares two quiet looks at every process. */
export function compare(
  before: Readonly<Record<string, Holdings>>,
  after: Readonly<Record<string, Holdings>>,
): readonly Comparison[] {
  return Object.entries(after).flatMap(([process, holdings]) =>
    Object.entries(holdings).flatMap(([resource, now]) => {
      const slack = SLACK.get(resource);
      const then = before[process]?.[resource];
      if (slack === undefined || then === undefined) return [];
      const bound = Math.round(then * (1 + slack.share) + slack.amount);
      return [{ process, resource, before: then, after: now, bound, returned: now <= bound }];
    }),
  );
}

/** By how much a value grows in an hour, by least squares. 0 for fewer than two points. */
export function growthPerHour(points: readonly { readonly second: number; readonly value: number }[]): number {
  const n = points.length;
  if (n < 2) return 0;
  const meanX = points.reduce((sum, { second }) => sum + second, 0) / n;
  const meanY = points.reduce((sum, { value }) => sum + value, 0) / n;
  let [xy, xx] = [0, 0];
  for (const { second, value } of points) {
    xy += (second - meanX) * (value - meanY);
    xx += (second - meanX) ** 2;
  }
  return xx === 0 ? 0 : (xy / xx) * 3_600;
}
