// Delayed submissions wait in a system queue; as soon as one stands there, its timer is set. If a coordinator dies in between, the
// delivery comes back and the step is repeated.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { isUnreadable } from "../../../lib/core/mesh-error.ts";
import type { Timers } from "../../../lib/nats/timers.ts";
import { FEED_ACK_WAIT_NANOS, type FeedMessage, type FeedVerdict, WorkFeed } from "../../../lib/nats/work-feed.ts";
import { DELAYED_CONSUMER, DELAYED_FILTER, parseTaskSubject, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { decodeDispatch } from "../../../lib/wire/task-codec.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";

/** What the reactor needs. */
export interface DelayedSubmissionsParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly logger: Logger;
}

const MAX_IN_HAND = 128;

/** Sets the timers of delayed submissions until it is disposed. */
export async function openDelayedSubmissions(parts: DelayedSubmissionsParts): Promise<AsyncDisposable> {
  const ensure = (): Promise<unknown> =>
    parts.manager.consumers.add(TASKS_STREAM, {
      durable_name: DELAYED_CONSUMER,
      filter_subject: DELAYED_FILTER,
      ack_policy: "explicit",
      ack_wait: FEED_ACK_WAIT_NANOS,
      max_ack_pending: 10_000,
    });
  await ensure();
  return new WorkFeed({
    connection: parts.connection,
    stream: TASKS_STREAM,
    consumer: DELAYED_CONSUMER,
    ensure,
    maxInHand: MAX_IN_HAND,
    handle: (message) =>
      handleDelayedSubmission(parts, message).catch((error: unknown): FeedVerdict => {
        if (!isUnreadable(error)) throw error;
        // It would be no more readable the next time.
        parts.logger.warn({ sequence: message.seq }, "unreadable delayed submission dropped");
        return { kind: "ack" };
      }),
    onError: (err) => parts.logger.warn({ err }, "delayed submission not handled"),
  });
}

/** Sets the timer of a delayed submission. What it throws means: deliver it again. */
export async function handleDelayedSubmission(
  { timers, clock }: Pick<DelayedSubmissionsParts, "timers" | "clock">,
  message: FeedMessage,
): Promise<FeedVerdict> {
  const subject = parseTaskSubject(message.subject);
  if (subject !== undefined) {
    const startMs = msFromTimestamp(decodeDispatch(message.data).task?.startTime) ?? clock.now();
    await timers.set(subject, "dispatch", startMs);
  }
  return { kind: "ack" };
}
