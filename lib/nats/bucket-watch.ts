// Follows a key-value bucket: what stands in it, then every change in the order of revisions. Knows nothing of what the values mean.
//
// A watch of nats.js notices only after more than a minute that its consumer is gone, and then goes on without a word: what expired
// meanwhile together with its marker would never be told. Here a watch that may have missed something ends within seconds, and whoever
// needs it begins another, which tells everything anew.

import { jetstream, jetstreamManager, type JsMsg } from "@nats-io/jetstream";
import { createInbox, nanos, type NatsConnection, nuid } from "@nats-io/nats-core";
import { bucketStream, bucketSubject, keyIn } from "../wire/subjects.ts";
import { MARKER_REASON, OPERATION } from "../wire/headers.ts";
import { onInterruption } from "./interruptions.ts";

/** What became of a key. */
export interface BucketChange {
  readonly key: string;
  /** Grows with every change of the bucket. */
  readonly revision: number;
  /** It was written; or somebody deleted it; or nobody wrote it for as long as it lives. */
  readonly kind: "put" | "deleted" | "expired";
  /** What was written. */
  readonly value: Uint8Array;
}

/** What a watch needs. */
export interface BucketWatchOptions {
  readonly connection: NatsConnection;
  readonly bucket: string;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Hears of each key that stands in the bucket, then of every change. Of several in a row of one key, the last may be the only one. */
  readonly onChange: (change: BucketChange) => void;
  /** Everything that stood in the bucket has been told. Called once. */
  readonly onSynced: () => void;
}

/** How often the broker gives a sign of life when it has nothing to tell, in milliseconds. Two that are missing end the watch. */
const HEARTBEAT_MS = 2_000;

/** After how long the broker forgets a watch that nobody listens to, in milliseconds. */
const INACTIVE_MS = 30_000;

/** Watches a bucket. Resolves when the signal ends it; rejects when it may have missed something, or could not begin. */
export async function watchBucket(options: BucketWatchOptions): Promise<void> {
  const { connection, bucket, signal, onChange, onSynced } = options;
  const over = Promise.withResolvers<void>();
  // Also while nobody waits for it yet.
  over.promise.catch(() => undefined);
  const broke = (why: string): void => over.reject(new Error(why));
  const stop = (): void => over.resolve();
  using _listener = onInterruption(connection, () => broke("the connection or a leader was replaced"));

  let delivered = 0;
  let synced = false;
  let ended = false;
  const sync = (): void => {
    if (!synced && !ended) onSynced();
    synced = true;
  };
  const take = (message: JsMsg): void => {
    if (ended) return;
    const { deliverySequence, pending } = message.info;
    if (deliverySequence !== delivered + 1) return broke("a change got lost");
    delivered = deliverySequence;
    onChange(changeIn(bucket, message));
    if (pending === 0) sync();
  };

  const [stream, name, inbox] = [bucketStream(bucket), `watch_${nuid.next()}`, createInbox()];
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const delivery = { deliver_subject: inbox, idle_heartbeat: nanos(HEARTBEAT_MS) };
  const consumer = await jetstream(connection).consumers.getBoundPushConsumer(delivery);
  const messages = await consumer.consume({ callback: take });
  const follow = async (): Promise<void> => {
    for await (const status of messages.status()) {
      if (status.type === "heartbeats_missed") broke("the broker is silent");
      if (status.type === "consumer_deleted") broke("the consumer is gone");
      if (status.type !== "heartbeat") continue;
      if (status.lastConsumerSequence > delivered) broke("a change got lost");
      // What stood last may have expired before it was delivered. The broker gives no sign of life while there is more to tell.
      else sync();
    }
    broke("the subscription ended");
  };

  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  void follow();
  try {
    const made = await Promise.race([
      over.promise,
      manager.consumers.add(stream, {
        ...delivery,
        name,
        filter_subject: bucketSubject(bucket, ">"),
        deliver_policy: "last_per_subject",
        ack_policy: "none",
        max_deliver: 1,
        flow_control: true,
        num_replicas: 1,
        mem_storage: true,
        inactive_threshold: nanos(INACTIVE_MS),
      }),
    ]);
    if (made?.num_pending === 0 && made.delivered.consumer_seq === 0) sync();
    await over.promise;
  } finally {
    ended = true;
    signal.removeEventListener("abort", stop);
    void messages.close();
    // If it can't be told now, the broker forgets it by itself.
    manager.consumers.delete(stream, name).catch(() => undefined);
  }
}

function changeIn(bucket: string, { subject, seq, headers, data }: JsMsg): BucketChange {
  const operation = headers?.get(OPERATION) ?? "";
  const expired = headers?.has(MARKER_REASON) === true;
  const kind = expired ? "expired" : operation === "" || operation === "PUT" ? "put" : "deleted";
  return { key: keyIn(bucket, subject), revision: seq, kind, value: data };
}
