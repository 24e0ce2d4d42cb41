// Follows a key-value bucket: what stands in it, then every change in the order of revisions. Knows nothing of what the values mean.
//
// Anybody in the account may publish into the inbox of a watch: only what the broker delivers for this very consumer is believed, and
// whether the watch still stands is asked of the broker, never taken from there.
//
// A watch of nats.js notices only after more than a minute that its consumer is gone, and then goes on without a word: what expired
// meanwhile together with its marker would never be told. Here a watch that may have missed something ends within seconds, and whoever
// needs it begins another, which tells everything anew.

import { jetstreamManager, JetStreamApiError } from "@nats-io/jetstream";
import { createInbox, type Msg, nanos, type NatsConnection, nuid } from "@nats-io/nats-core";
import { CONSUMER_STALLED, MARKER_REASON, OPERATION } from "../wire/headers.ts";
import {
  bucketStream,
  bucketSubject,
  type DeliverySubject,
  keyIn,
  parseDeliverySubject,
  parseFlowControlSubject,
} from "../wire/subjects.ts";
import { pause } from "../time/pause.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import { headerField, headerText } from "./header-text.ts";
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

/** How often the broker is asked how far it has told, in milliseconds. */
const LOOK_MS = 2_000;

/** After how long the broker forgets a watch that nobody listens to, in milliseconds. */
const INACTIVE_MS = 30_000;

/** JetStream's code for a consumer that is not there. */
const CONSUMER_NOT_FOUND = 10014;

const operationIn = headerField(OPERATION);
const reasonIn = headerField(MARKER_REASON);
const stalledIn = headerField(CONSUMER_STALLED);

/** Watches a bucket. Resolves when the signal ends it; rejects when it may have missed something, or could not begin. */
export async function watchBucket(options: BucketWatchOptions): Promise<void> {
  const { connection, bucket, signal, onChange, onSynced } = options;
  const [stream, name, inbox] = [bucketStream(bucket), `watch_${nuid.next()}`, createInbox()];
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
  const isOwn = (of: { readonly stream: string; readonly consumer: string } | undefined): boolean =>
    of?.stream === stream && of.consumer === name;
  const take = (message: Msg, delivery: DeliverySubject): void => {
    if (delivery.consumerSequence !== delivered + 1) return broke("a change got lost");
    delivered = delivery.consumerSequence;
    onChange(changeIn(bucket, message, delivery));
    if (delivery.pending === 0) sync();
  };
  const hear = (message: Msg): void => {
    if (ended) return;
    const { subject, reply = "" } = message;
    if (subject !== inbox) {
      const delivery = parseDeliverySubject(reply);
      if (delivery !== undefined && isOwn(delivery)) take(message, delivery);
      return;
    }
    // Anybody can publish here. The broker waits for an answer before it tells more, and is answered nowhere else.
    const asked = reply === "" ? stalledIn(headerText(message)) : reply;
    if (isOwn(parseFlowControlSubject(asked)) && !connection.isDraining()) connection.publish(asked);
  };

  const manager = await jetstreamManager(connection, { checkAPI: false });
  const looking = new AbortController();
  const look = async (): Promise<void> => {
    let told = 0;
    while (await pause(LOOK_MS, signal, looking.signal)) {
      const info = await manager.consumers.info(stream, name);
      // It was on its way the last time. What comes next would show it, but nothing may come.
      if (delivered < told) broke("a change got lost");
      told = info.delivered.consumer_seq;
      // What stood last may have expired before it was delivered.
      if (info.num_pending === 0 && delivered >= told) sync();
    }
  };
  const subscription = connection.subscribe(inbox, {
    callback: (error, message) => (error === null ? hear(message) : over.reject(error)),
  });
  void subscription.closed.then(() => broke("the subscription ended"));

  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    const made = await Promise.race([
      over.promise,
      manager.consumers.add(stream, {
        name,
        deliver_subject: inbox,
        filter_subject: bucketSubject(bucket, ">"),
        deliver_policy: "last_per_subject",
        ack_policy: "none",
        max_deliver: 1,
        flow_control: true,
        // Flow control needs them. They are not listened to: anybody can send them, so the broker is asked.
        idle_heartbeat: nanos(LOOK_MS),
        num_replicas: 1,
        mem_storage: true,
        inactive_threshold: nanos(INACTIVE_MS),
      }),
    ]);
    if (made?.num_pending === 0 && made.delivered.consumer_seq === 0) sync();
    look().catch((cause: unknown) =>
      over.reject(isGone(cause) ? new Error("the consumer is gone") : brokerUnavailable(cause)),
    );
    await over.promise;
  } finally {
    ended = true;
    looking.abort();
    signal.removeEventListener("abort", stop);
    subscription.unsubscribe();
    // If it can't be told now, the broker forgets it by itself.
    manager.consumers.delete(stream, name).catch(() => undefined);
  }
}

function isGone(cause: unknown): boolean {
  return cause instanceof JetStreamApiError && cause.code === CONSUMER_NOT_FOUND;
}

/** nats-core's own parser throws for headers that are none, and anybody can write into a bucket. */
function changeIn(bucket: string, message: Msg, { sequence }: DeliverySubject): BucketChange {
  const header = headerText(message);
  const operation = operationIn(header);
  const expired = reasonIn(header) !== "";
  const kind = expired ? "expired" : operation === "" || operation === "PUT" ? "put" : "deleted";
  return { key: keyIn(bucket, message.subject), revision: sequence, kind, value: message.data };
}
