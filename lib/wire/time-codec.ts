// Milliseconds to and from Protobuf's Timestamp and Duration.

import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

const FIRST_SECOND = -62_135_596_800n;
const LAST_SECOND = 253_402_300_799n;
const MAX_DURATION_SECONDS = 315_576_000_000n;
const NANOS_PER_SECOND = 1_000_000_000;

/** Whether a timestamp lies in the years 1 to 9999 and has nanos of its second: else it has no JSON form. */
export function isTimestamp({ seconds, nanos }: Timestamp): boolean {
  return seconds >= FIRST_SECOND && seconds <= LAST_SECOND && nanos >= 0 && nanos < NANOS_PER_SECOND;
}

/** Whether a duration is at most 10,000 years long and has seconds and nanos of one sign: else it has no JSON form. */
export function isDuration({ seconds, nanos }: Duration): boolean {
  if (seconds < -MAX_DURATION_SECONDS || seconds > MAX_DURATION_SECONDS || Math.abs(nanos) >= NANOS_PER_SECOND)
    return false;
  return nanos === 0 || seconds === 0n || nanos > 0 === seconds > 0n;
}

/** A timestamp of milliseconds since 1970, rounded to whole ones. */
export function timestampFromMs(ms: number): Timestamp {
  // Rounded first: rounding the remainder could make a full second of it, which is no valid timestamp.
  const wholeMs = Math.round(ms);
  const seconds = Math.floor(wholeMs / 1000);
  const nanos = (wholeMs - seconds * 1000) * 1_000_000;
  return { $typeName: "google.protobuf.Timestamp", seconds: BigInt(seconds), nanos };
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
  const nanos = (wholeMs - seconds * 1000) * 1_000_000;
  return { $typeName: "google.protobuf.Duration", seconds: BigInt(seconds), nanos };
}

/** Milliseconds; undefined stays undefined. */
export function msFromDuration(duration: Duration): number;
export function msFromDuration(duration: Duration | undefined): number | undefined;
export function msFromDuration(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : Number(duration.seconds) * 1000 + duration.nanos / 1_000_000;
}
