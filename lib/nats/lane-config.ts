// How a lane's consumer is set. Decides nothing about when it is made, paused or asked.

import { isDeepStrictEqual } from "node:util";
import type { ConsumerConfig } from "@nats-io/jetstream";
import { laneConsumer, laneFilter } from "../wire/subjects.ts";

/** How many deliveries of a lane may be unacknowledged: more than any fleet has slots. */
export const LANE_MAX_ACK_PENDING = 100_000;

const NANOS_PER_MS = 1_000_000;

/** What a lane's consumer is made of, as JetStream is asked for it. */
export type LaneConfig = Readonly<
  Pick<
    ConsumerConfig,
    | "durable_name"
    | "filter_subject"
    | "ack_policy"
    | "deliver_policy"
    | "ack_wait"
    | "max_deliver"
    | "max_ack_pending"
    | "max_waiting"
  >
> & { readonly durable_name: string };

/** The settings of a lane's consumer. `leaseMs`: how long a delivery is its agent's without a sign of life, in milliseconds. */
export function laneConfig(tenant: string, queue: string, priority: number, leaseMs: number): LaneConfig {
  return {
    durable_name: laneConsumer(tenant, queue, priority),
    filter_subject: laneFilter(tenant, queue, priority),
    ack_policy: "explicit",
    deliver_policy: "all",
    ack_wait: leaseMs * NANOS_PER_MS,
    // Attempts are counted in the log; a delivery limit here would only strand messages.
    max_deliver: -1,
    max_ack_pending: LANE_MAX_ACK_PENDING,
    max_waiting: 20_000,
  };
}

/** Whether a consumer is set so. What else its configuration holds (a pause, JetStream's own notes) is not looked at. */
export function isSetSo(standing: ConsumerConfig, wanted: LaneConfig): boolean {
  const found = new Map(Object.entries(standing));
  return Object.entries(wanted).every(([key, value]) => isDeepStrictEqual(found.get(key), value));
}
