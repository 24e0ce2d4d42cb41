// What a measurement of the mesh alone, at scale, gives: single numbers, some of which stand for a target.

/** One number. */
export interface Figure {
  /** Names it in the JSON and for the target table. */
  readonly id: string;
  /** What it is, in a line. */
  readonly title: string;
  readonly value: number;
  /** What it is counted in: `tasks/s`, `KiB`, `×`, `s`, `%`. */
  readonly unit: string;
  /** What it was derived from, in a line: counts, both sides of a ratio. */
  readonly detail: string;
}

/** How a measurement at scale is run. */
export interface ScaleOptions {
  /** The environment for its processes, without settings of Mycel and OpenTelemetry. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Small numbers: only to see that it works. */
  readonly quick: boolean;
  /** Hears, in a line, of what is being measured. */
  readonly onProgress: (line: string) => void;
}

/** One measurement of the mesh alone. It starts what it needs, and ends it. */
export interface ScaleScenario {
  /** Names it in `--only`; unlike the id of any other scenario. */
  readonly id: string;
  /** Names it in the report. */
  readonly title: string;
  /** Measures it. Rejects with BenchError when it cannot be measured here. */
  readonly measure: (options: ScaleOptions) => Promise<readonly Figure[]>;
}

/** Ids of the figures that the target table takes. */
export const TARGET_FIGURES = {
  /** Dispatch rate with 1,000,000 tasks queued / with 1,000 queued. Unit `×`. */
  backlog: "backlog.ratio",
  /** The coordinator's memory for one idle StreamResults. Unit `KiB`. */
  idleStream: "idle-streams.memory",
  /** Rate with tracing on, 1 % sampled / off. Unit `×`. */
  tracing: "tracing.ratio",
} as const;
