// What the mesh is to reach, as data, and what a run says of it. Pure.

import { type Figure, TARGET_FIGURES } from "../scale/figure.ts";
import { DURABILITIES, type Durability } from "../support/contender.ts";
import { amount } from "./amount.ts";
import { ratiosOf, type Row, type Spread } from "./rows.ts";

/** A number of ours that is to be large, or small, enough. */
export interface Target {
  readonly id: string;
  /** What is compared with what, in a line. */
  readonly comparison: string;
  readonly wanted: number;
  readonly direction: "at least" | "at most";
  readonly unit: "×" | "KiB";
  readonly source: RatioSource | FigureSource;
}

/** Mesh / contender, the median of the rounds' ratios. */
export interface RatioSource {
  readonly kind: "ratio";
  readonly durability: Durability;
  /** The mesh's row. */
  readonly row: string;
  readonly contender: string;
  /** The contender's row, where it is another. */
  readonly contenderRow?: string;
}

/** A figure of a measurement at scale; the part of its id before the dot is the measurement. */
export interface FigureSource {
  readonly kind: "figure";
  readonly figure: string;
}

/** All targets. */
export const TARGETS: readonly Target[] = [
  ...DURABILITIES.flatMap((durability) => [
    bulk(durability, "bullmq", "BullMQ addBulk", 1.5),
    bulk(durability, "graphile-worker", "graphile-worker addJobs", 1.5),
    bulk(durability, "pg-boss", "pg-boss insert", 1.5),
    bulk(durability, "floor", "raw JetStream, the same publishes and acks", 0.8),
  ]),
  {
    id: "unary",
    comparison: "SubmitTask against an empty grpc-js echo, both by a light client, 256 at once",
    wanted: 0.5,
    direction: "at least",
    unit: "×",
    source: {
      kind: "ratio",
      durability: "second",
      row: "served-submit-256",
      contender: "grpc-js",
      contenderRow: "served-empty-256",
    },
  },
  {
    id: "idle",
    comparison: "submit → result, idle, p50, against BullMQ",
    wanted: 1.5,
    direction: "at most",
    unit: "×",
    source: { kind: "ratio", durability: "second", row: "idle.p50", contender: "bullmq" },
  },
  {
    id: "half-load",
    comparison: "submit → result, half load, p99, against BullMQ",
    wanted: 1,
    direction: "at most",
    unit: "×",
    source: { kind: "ratio", durability: "second", row: "half-load.p99", contender: "bullmq" },
  },
  {
    id: "backlog",
    comparison: "rate with 1,000,000 tasks queued against 1,000 queued",
    wanted: 0.9,
    direction: "at least",
    unit: "×",
    source: { kind: "figure", figure: TARGET_FIGURES.backlog },
  },
  {
    id: "idle-stream",
    comparison: "the coordinator's memory for one idle StreamResults",
    wanted: 10,
    direction: "at most",
    unit: "KiB",
    source: { kind: "figure", figure: TARGET_FIGURES.idleStream },
  },
  {
    id: "tracing",
    comparison: "rate with tracing on (1 % sampled) against off",
    wanted: 0.95,
    direction: "at least",
    unit: "×",
    source: { kind: "figure", figure: TARGET_FIGURES.tracing },
  },
];

function bulk(durability: Durability, contender: string, name: string, wanted: number): Target {
  return {
    id: `bulk-${contender}-${durability}`,
    comparison: `bulk submit → complete against ${name}, durability ${durability}`,
    wanted,
    direction: "at least",
    unit: "×",
    source: { kind: "ratio", durability, row: "bulk", contender },
  };
}

/** What a run says of a target. */
export interface Verdict {
  readonly target: Target;
  readonly verdict: "met" | "missed" | "not measured";
  /** Undefined if it was not measured. */
  readonly value: number | undefined;
  /** Of a ratio, what the rounds gave. */
  readonly spread: Spread | undefined;
  /** The numbers behind it, or why there are none, in a line. */
  readonly detail: string;
}

/** What a run gave. */
export interface Measured {
  readonly rows: readonly Row[];
  readonly figures: readonly Figure[];
  /** Why a contender (by id, at a durability: `always bullmq`) or a measurement at scale (by id) gave nothing. */
  readonly absent: Readonly<Record<string, string>>;
}

/** Judges all targets by what was measured. */
export function judged(targets: readonly Target[], measured: Measured): readonly Verdict[] {
  return targets.map((target) => {
    const { source } = target;
    return source.kind === "ratio" ? byRatio(target, source, measured) : byFigure(target, source, measured);
  });
}

function byRatio(target: Target, source: RatioSource, { rows, absent }: Measured): Verdict {
  const { durability, contender, row: id, contenderRow = id } = source;
  const rowOf = (rowId: string): Row | undefined =>
    rows.find((row) => row.id === rowId && row.durability === durability);
  const [own, other] = [rowOf(id), rowOf(contenderRow)];
  const [ours, theirs] = [own?.cells["mesh"], other?.cells[contender]];
  if (own === undefined || ours === undefined || other === undefined || theirs === undefined) {
    const refusal = absent[`${durability} ${contender}`] ?? other?.refusals[contender];
    return notMeasured(target, refusal ?? "not part of this run");
  }
  const spread = ratiosOf(ours.rounds, theirs.rounds);
  const detail = `${amount(ours.value)} ${own.unit} to ${amount(theirs.value)} ${other.unit}`;
  return { ...verdictOn(target, spread.median), spread, detail };
}

function byFigure(target: Target, { figure: id }: FigureSource, { figures, absent }: Measured): Verdict {
  const figure = figures.find((each) => each.id === id);
  if (figure === undefined) return notMeasured(target, absent[id.slice(0, id.indexOf("."))] ?? "not part of this run");
  return { ...verdictOn(target, figure.value), spread: undefined, detail: figure.detail };
}

function verdictOn(target: Target, value: number): Pick<Verdict, "target" | "verdict" | "value"> {
  const isMet = target.direction === "at least" ? value >= target.wanted : value <= target.wanted;
  return { target, verdict: isMet ? "met" : "missed", value };
}

function notMeasured(target: Target, detail: string): Verdict {
  return { target, verdict: "not measured", value: undefined, spread: undefined, detail };
}
