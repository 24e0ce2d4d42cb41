// Milliseconds to and from Protobuf's Timestamp and Duration.

import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

/** A timestamp of milliseconds since 1970, rounded to whole ones. */
export function timestampFromMs(ms: number): Timestamp {
  // Rounded first: rounding the remainder could make a full second of it, which is no valid timestamp.
  const wholeMs = Math.round(ms);
  const seconds = Math.floor(wholeMs / 1000);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: (wholeMs - seconds * 1000) * 1_000_000 });
}

/** Milliseconds since 1970; undefined stays undefined. */
export function msFromTimestamp(time: Timestamp): number;
export function msFromTimestamp(time: Timestamp | undefined): number | undefined;
export function msFromTimestamp(time: Timestamp | undefined): number | undefined {
  return time === undefined ? undefined : Number(time.seconds) * 1000 + Math.trunc(time.nanos / 1_000_000);
}

/** A duration of milliseconds, rounded to whole ones. */
export function durationFromMs(ms: number): Duration {
  const wholeMs = Math.round(ms);
  const seconds = Math.trunc(wholeMs / 1000);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: (wholeMs - seconds * 1000) * 1_000_000 });
}

/** Milliseconds; undefined stays undefined. */
export function msFromDuration(duration: Duration): number;
export function msFromDuration(duration: Duration | undefined): number | undefined;
export function msFromDuration(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : Number(duration.seconds) * 1000 + duration.nanos / 1_000_000;
}
