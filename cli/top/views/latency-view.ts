// How long tasks take, by type: as a whole, until an agent starts, and at work.
import type { ReactElement } from "react";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { DurationMetrics, TaskMetrics, TypeMetrics } from "../../../gen/mycel/v1/metrics_service_pb.ts";
import { msFromDuration } from "../../../lib/wire/time-codec.ts";
import { harmless } from "../../output/terminal.ts";
import { ageText, percentText, rateText, spanText } from "../draw/figures.ts";
import { table, type TableColumn } from "../draw/table.ts";
import type { PanelContent } from "./panel-content.ts";
import type { View } from "./view.ts";

const PERCENTILES: readonly (readonly [head: string, of: (all: DurationMetrics) => Duration | undefined])[] = [
  ["p50", ({ p50 }) => p50],
  ["p90", ({ p90 }) => p90],
  ["p95", ({ p95 }) => p95],
  ["p99", ({ p99 }) => p99],
];

// Where there is no room for all of them, the last go first: p99 before p50, waiting before running.
const MEASURES: readonly (readonly [
  head: string,
  of: (all: TaskMetrics) => DurationMetrics | undefined,
  spare: number,
])[] = [
  ["total", ({ total }) => total, 0],
  ["wait", ({ wait }) => wait, 2],
  ["run", ({ run }) => run, 1],
];

function columnsFor({ snapshot }: View): TableColumn<TypeMetrics>[] {
  const now = new Map((snapshot.pulse.value?.types ?? []).map(({ type, metrics }) => [type, metrics?.endRate]));
  return [
    { head: "TYPE", text: ({ type }) => harmless(type), least: 16, most: 32 },
    { head: "ENDED/s", text: ({ type }) => rateText(now.get(type) ?? 0), right: true },
    {
      head: "OK",
      text: ({ metrics }) => (metrics?.successRate === undefined ? "–" : percentText(metrics.successRate)),
      tone: ({ metrics }) => ((metrics?.successRate ?? 1) < 0.95 ? "warn" : "good"),
      right: true,
    },
    ...MEASURES.flatMap(([measure, of, spare]) =>
      PERCENTILES.map(([percentile, at], place): TableColumn<TypeMetrics> => ({
        head: place === 0 ? `${measure} ${percentile}` : percentile,
        text: ({ metrics }) => durationText(metrics === undefined ? undefined : of(metrics), at),
        tone: () => (place === 0 ? "bold" : "plain"),
        right: true,
        spare: spare === 0 ? 0 : spare * 10 + place,
      })),
    ),
    { head: "", text: () => "", grows: true, least: 0 },
  ];
}

/** The panel of latencies. */
export const latencyContent: PanelContent = {
  title: "Durations",
  aside: ({ snapshot, windowMs }) =>
    snapshot.metrics.value === undefined ? "" : `of tasks that ended in the last ${ageText(windowMs)}`,
  told: ({ snapshot }) => snapshot.metrics,
  count: ({ snapshot }) => snapshot.metrics.value?.types.length ?? 0,
  body: (view, room): ReactElement =>
    table({
      ...room,
      columns: columnsFor(view),
      rows: view.snapshot.metrics.value?.types ?? [],
      none: "no task within the window",
    }),
};

function durationText(
  measured: DurationMetrics | undefined,
  at: (all: DurationMetrics) => Duration | undefined,
): string {
  const ms = measured === undefined ? undefined : msFromDuration(at(measured));
  return ms === undefined ? "–" : spanText(ms);
}
