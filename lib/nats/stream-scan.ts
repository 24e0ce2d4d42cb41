// Reads all that stands in a stream, once, up to what its leader says is its end. For what a process takes up when it begins.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { pause } from "../time/pause.ts";
import type { DirectReader, StoredMessage } from "./direct-reader.ts";
import { readFromLeader } from "./stream-leader.ts";

/** What a scan needs. */
export interface StreamScanParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly reader: Pick<DirectReader, "read">;
}

/** The most that one read brings, in messages and in bytes. */
const BATCH = 1_000;
const MAX_BATCH_BYTES = 8 * 1024 * 1024;

/** How long to wait for a replica that lags behind, in milliseconds. */
const LAG_MS = 100;

/** How often the end is looked for anew: what is written again while others are read moves behind them. */
const MAX_ENDS = 10;

/**
 * Every message that stands in the stream on subjects that the filter matches, oldest first, in batches. What is written again meanwhile may
 * come twice, the later the newer. Ends early when the signal is aborted. Throws MeshError BROKER_UNAVAILABLE, and what JetStream's API
 * throws.
 */
export async function* scanStream(
  parts: StreamScanParts,
  stream: string,
  filter: string,
  signal?: AbortSignal,
): AsyncGenerator<readonly StoredMessage[], void, undefined> {
  const aborted = (): boolean => signal?.aborted === true;
  let position = 0;
  for (let ends = 0; ends < MAX_ENDS && !aborted(); ends += 1) {
    const { state } = await parts.manager.streams.info(stream);
    if (position >= state.last_seq) return;
    while (position < state.last_seq && !aborted()) {
      const messages = await nextBatch(parts, stream, position, filter);
      if (messages === undefined) await pause(LAG_MS, signal);
      else if (messages.length > 0) yield messages;
      position = messages === undefined ? position : (messages.at(-1)?.sequence ?? state.last_seq);
    }
  }
}

/** What follows a position; nothing if nothing is left, undefined if a replica has answered that lags behind. */
async function nextBatch(
  { connection, reader }: StreamScanParts,
  stream: string,
  position: number,
  filter: string,
): Promise<readonly StoredMessage[] | undefined> {
  const from = { seq: position + 1, next_by_subj: filter };
  const messages = await reader.read(stream, { ...from, batch: BATCH, max_bytes: MAX_BATCH_BYTES });
  if (messages.length > 0) return messages;
  return (await readFromLeader(connection, stream, from)) === undefined ? [] : undefined;
}
