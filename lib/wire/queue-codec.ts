// Pauses of queues, to and from the contract's messages.

import { create } from "@bufbuild/protobuf";
import { type QueuePause as WirePause, QueuePauseSchema } from "../../gen/mycel/v1/queue_pb.ts";
import type { QueuePause } from "../core/queue-pause.ts";
import { isTimestamp, msFromTimestamp, timestampFromMs } from "./time-codec.ts";

/** A pause as it is told and kept. */
export function pauseToWire({ sinceMs, untilMs, reason }: QueuePause): WirePause {
  return create(QueuePauseSchema, {
    pauseTime: timestampFromMs(sinceMs),
    ...(untilMs === undefined ? {} : { untilTime: timestampFromMs(untilMs) }),
    reason,
  });
}

/** A pause as it was kept; undefined for none, and for what is none. */
export function pauseFromWire(pause: WirePause | undefined): QueuePause | undefined {
  const { pauseTime, untilTime, reason = "" } = pause ?? {};
  if (pauseTime === undefined || !isTimestamp(pauseTime)) return undefined;
  if (untilTime !== undefined && !isTimestamp(untilTime)) return undefined;
  return { sinceMs: msFromTimestamp(pauseTime), untilMs: msFromTimestamp(untilTime), reason };
}
