// What a broker says of itself, said by a test.

import type { NatsConnection } from "@nats-io/nats-core";

/** Says that a stream has a new leader, as nats-server does. */
export function announceLeader(connection: NatsConnection, stream: string): void {
  const advisory = {
    type: "io.nats.jetstream.advisory.v1.stream_leader_elected",
    id: "hj6rTVtPpoWvHDLGKFXOv8",
    timestamp: "2026-01-01T00:00:00.000000000Z",
    stream,
    leader: "n1",
    replicas: [{ name: "n0", current: true, active: 0 }],
  };
  connection.publish(`$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.${stream}`, JSON.stringify(advisory));
}
