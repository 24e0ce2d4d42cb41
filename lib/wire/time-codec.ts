// Milliseconds to and from Protobuf's Timestamp and Duration.

import { create } from "@bufbuild/protobuf";
import {
  type Duration,
  DurationSchema,
  type Timestamp,
  TimestampSchema,
} from "@bufbuild/protobuf/wkt";

/** A timestamp of whole milliseconds since 1970. */
export function timestampFromMs(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: Math.round(ms - seconds * 1000) * 1_000_000 });
}

/** Milliseconds since 1970; undefined stays undefined. */
export function msFromTimestamp(time: Timestamp): number;
export function msFromTimestamp(time: Timestamp | undefined): number | undefined;
export function msFromTimestamp(time: Timestamp | undefined): number | undefined {
  return time === undefined ? undefined : Number(time.seconds) * 1000 + Math.trunc(time.nanos / 1_000_000);
}

/** A duration of whole milliseconds. */
export function durationFromMs(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: Math.round(ms - seconds * 1000) * 1_000_000 });
}

/** Milliseconds; undefined stays undefined. */
export function msFromDuration(duration: Duration): number;
export function msFromDuration(duration: Duration | undefined): number | undefined;
export function msFromDuration(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : Number(duration.seconds) * 1000 + duration.nanos / 1_000_000;
}
