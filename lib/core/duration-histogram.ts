// Durations, counted in buckets that grow by 15 %, so that percentiles of any number of them can be told, and histograms added up.

/** How much larger the upper bound of a bucket is than that of the one before. */
const GROWTH = 1.15;

const LOG_GROWTH = Math.log(GROWTH);

/** Seven days, which no task outlives, are in bucket 146. */
const LAST_BUCKET = 160;

/** A histogram as plain data, for storing. */
export interface HistogramRecord {
  readonly count: number;
  /** In milliseconds. */
  readonly sum: number;
  /** In milliseconds. */
  readonly max: number;
  /** Buckets that are not empty, as pairs of number and count. */
  readonly buckets: readonly (readonly [bucket: number, count: number])[];
}

/** Counts durations. */
export class DurationHistogram {
  #count = 0;
  #sumMs = 0;
  #maxMs = 0;
  readonly #buckets = new Map<number, number>();

  /** How many durations were counted. */
  get count(): number {
    return this.#count;
  }

  /** The mean, in milliseconds; 0 if nothing was counted. */
  get averageMs(): number {
    return this.#count === 0 ? 0 : this.#sumMs / this.#count;
  }

  /** The longest, in milliseconds. */
  get maxMs(): number {
    return this.#maxMs;
  }

  /** Counts a duration, in milliseconds; a negative one, which clocks that differ may give, as 0. */
  add(durationMs: number): void {
    const ms = Math.max(0, durationMs);
    const bucket = bucketOf(ms);
    this.#count += 1;
    this.#sumMs += ms;
    this.#maxMs = Math.max(this.#maxMs, ms);
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1);
  }

  /** Counts what another one has counted. */
  addAll({ count, sum, max, buckets }: HistogramRecord): void {
    this.#count += count;
    this.#sumMs += sum;
    this.#maxMs = Math.max(this.#maxMs, max);
    for (const [bucket, more] of buckets) this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + more);
  }

  /**
   * How long no more than this share of the durations exceeded, in milliseconds: the upper bound of the bucket in which the duration of that
   * rank is, so up to 15 % too high, never more than the longest; 0 if nothing was counted. `share` is from 0 to 1.
   */
  percentileMs(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#count));
    let passed = 0;
    for (const [bucket, count] of [...this.#buckets].toSorted(([a], [b]) => a - b)) {
      passed += count;
      if (passed >= rank) return Math.min(upperMs(bucket), this.#maxMs);
    }
    return 0;
  }

  /** Plain data. */
  toRecord(): HistogramRecord {
    return { count: this.#count, sum: this.#sumMs, max: this.#maxMs, buckets: [...this.#buckets] };
  }
}

/** Bucket 0 is for all up to a millisecond, which is as fine as the log's times are. */
function bucketOf(ms: number): number {
  return ms <= 1 ? 0 : Math.min(LAST_BUCKET, Math.ceil(Math.log(ms) / LOG_GROWTH));
}

function upperMs(bucket: number): number {
  return bucket === LAST_BUCKET ? Number.POSITIVE_INFINITY : GROWTH ** bucket;
}
