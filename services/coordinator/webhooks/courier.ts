// Posts what is due, a bounded number at a time in all and to each endpoint, and stores what came of it by compare-and-set: whoever no longer
// holds the role changes nothing, and what was posted but not stored is posted again under the same id.

import {
  type WebhookAttempt,
  WebhookDeliveryState,
  WebhookDisabledReason,
  WebhookFailureReason,
} from "../../../gen/mycel/v1/webhook_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { type AfterAttempt, afterAttempt, type WebhookRetryPolicy } from "../../../lib/core/webhook-attempt.ts";
import { freeSlots, MAX_KEPT_ATTEMPTS, type PostingLimits } from "../../../lib/core/webhook-delivery.ts";
import type { StoredDelivery, WebhookDeliveries } from "../../../lib/nats/webhook-deliveries.ts";
import type { StoredEndpoint, WebhookEndpoints } from "../../../lib/nats/webhook-endpoints.ts";
import { pause } from "../../../lib/time/pause.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import type { SoundDeliveryRecord } from "../../../lib/wire/webhook-records.ts";
import type { DeliveryBook, DueDelivery } from "./delivery-book.ts";
import type { Posted, Posting } from "./posting.ts";

/** What a courier needs. */
export interface CourierParts {
  readonly book: DeliveryBook;
  readonly deliveries: Pick<WebhookDeliveries, "get" | "write">;
  readonly endpoints: Pick<WebhookEndpoints, "get" | "write">;
  /** Posts once; throws only what ends the signal. */
  readonly post: (endpoint: StoredEndpoint, posting: Posting, signal: AbortSignal) => Promise<Posted>;
  readonly policy: WebhookRetryPolicy;
  readonly limits: PostingLimits;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Hears why a delivery could not be read or stored; it is tried again. */
  readonly onTrouble: (error: unknown, deliveryId: string) => void;
  /** How long attempts may go on when the courier is stopped, in milliseconds. Default 2,000. */
  readonly graceMs?: number;
}

/** How long to wait for something to be due at most, in milliseconds. */
const LOOK_MS = 1_000;

/** When to try again what could not be read or stored, in milliseconds. */
const TROUBLE_MS = 5_000;

const DEFAULT_GRACE_MS = 2_000;

/** How an endpoint fares. */
interface Receiver {
  posting: number;
  failing: boolean;
}

/** Posts until it is disposed. */
export class Courier implements AsyncDisposable {
  readonly #parts: CourierParts;
  readonly #receivers = new Map<string, Receiver>();
  readonly #attempts = new Set<Promise<void>>();
  /** The receiver that was served last. */
  #served = "";
  readonly #stopping = new AbortController();
  readonly #cutting = new AbortController();
  #news = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: CourierParts) {
    this.#parts = parts;
  }

  /** How many deliveries are being posted. */
  get posting(): number {
    return this.#attempts.size;
  }

  /** Begins to post. */
  start(): void {
    this.#loop = this.#run();
  }

  /** Looks for what is due, now. */
  wake(): void {
    this.#news.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    const done = Promise.all(this.#attempts);
    const graced = new AbortController();
    void done.finally(() => graced.abort());
    await pause(this.#parts.graceMs ?? DEFAULT_GRACE_MS, graced.signal);
    this.#cutting.abort();
    await done;
  }

  async #run(): Promise<void> {
    const { book, clock } = this.#parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#news = new AbortController();
      try {
        this.#postDue();
      } catch (error) {
        // Whatever it is, the deliveries are stored: they are due at the next look, too.
        this.#parts.onTrouble(error, "");
      }
      const leftMs = (book.nextDueMs() ?? Infinity) - clock.now();
      // What is due and has no slot is taken up when one gets free.
      const restMs = leftMs <= 0 ? LOOK_MS : Math.min(LOOK_MS, leftMs);
      await pause(restMs, signal, this.#news.signal);
    }
  }

  #postDue(): void {
    const { book, clock, limits } = this.#parts;
    const nowMs = clock.now();
    for (const name of this.#inTurn(book.waitingReceivers())) {
      const receiver = this.#receiverOf(name);
      const { posting, failing } = receiver;
      const free = freeSlots(limits, { total: this.#attempts.size, toEndpoint: posting, failing });
      if (free === 0) continue;
      const taken = book.claimDue(name, nowMs, free);
      if (taken.length > 0) this.#served = name;
      for (const due of taken) this.#begin(due, receiver);
    }
  }

  /** Beginning after whoever was served last: where there are fewer slots than takers, each has its turn. */
  #inTurn(names: readonly string[]): readonly string[] {
    const next = names.findIndex((name) => name > this.#served);
    return next <= 0 ? names : [...names.slice(next), ...names.slice(0, next)];
  }

  #begin(due: DueDelivery, receiver: Receiver): void {
    receiver.posting += 1;
    const attempt = this.#deliver(due, receiver)
      .catch((error: unknown) => {
        this.#parts.book.postpone(due, this.#parts.clock.now() + TROUBLE_MS);
        if (!this.#cutting.signal.aborted) this.#parts.onTrouble(error, due.deliveryId);
      })
      .finally(() => {
        receiver.posting -= 1;
        this.#attempts.delete(attempt);
        this.wake();
      });
    this.#attempts.add(attempt);
  }

  async #deliver(due: DueDelivery, receiver: Receiver): Promise<void> {
    const { book, deliveries, endpoints, policy, random } = this.#parts;
    const { tenant, deliveryId } = due;
    const stored = await deliveries.get(tenant, deliveryId);
    if (stored === undefined) return book.remove(tenant, deliveryId);
    // Somebody else has changed it: what it is now decides.
    if (stored.revision !== due.revision) return book.put(stored);
    const endpoint = await endpoints.get(tenant, due.endpointId);
    if (endpoint === undefined) return this.#store(stored, failed(WebhookFailureReason.ENDPOINT_DELETED));
    if (endpoint.endpoint.disabled) return this.#store(stored, failed(WebhookFailureReason.ENDPOINT_DISABLED));
    const { attempt, outcome } = await this.#parts.post(endpoint, postingOf(stored), this.#cutting.signal);
    const spent = stored.record.attemptsSpent + 1;
    const next = afterAttempt(policy, outcome, spent, random());
    receiver.failing = next.kind !== "delivered";
    if (next.kind === "gone") await this.#disable(tenant, endpoint);
    await this.#store(stored, this.#after(next), attempt);
  }

  #after(next: AfterAttempt): Change {
    switch (next.kind) {
      case "delivered":
        return { state: WebhookDeliveryState.DELIVERED };
      case "gone":
        return failed(WebhookFailureReason.ENDPOINT_GONE);
      case "given_up":
        return failed(WebhookFailureReason.ATTEMPTS_SPENT);
      case "again":
        return { state: WebhookDeliveryState.PENDING, nextMs: this.#parts.clock.now() + next.delayMs };
    }
  }

  async #store(
    { tenant, deliveryId, record, revision }: StoredDelivery,
    change: Change,
    attempt?: WebhookAttempt,
  ): Promise<void> {
    const { book, deliveries, clock } = this.#parts;
    const changed = changedRecord(record, change, attempt, clock.now());
    const stands = await deliveries.write(tenant, changed, revision);
    if (stands !== undefined) return book.put({ tenant, deliveryId, record: changed, revision: stands });
    const standing = await deliveries.get(tenant, deliveryId);
    if (standing === undefined) book.remove(tenant, deliveryId);
    else book.put(standing);
  }

  /** Only what answered is disabled: an endpoint that was changed meanwhile gets its chance. */
  async #disable(tenant: string, { endpoint, secrets, revision }: StoredEndpoint): Promise<void> {
    const now = timestampFromMs(this.#parts.clock.now());
    const disabled = {
      ...endpoint,
      disabled: true,
      disabledReason: WebhookDisabledReason.GONE,
      disableTime: now,
      updateTime: now,
    };
    await this.#parts.endpoints.write(tenant, disabled, secrets, revision);
  }

  #receiverOf(name: string): Receiver {
    const known = this.#receivers.get(name) ?? { posting: 0, failing: false };
    this.#receivers.set(name, known);
    return known;
  }
}

/** What becomes of a delivery. */
interface Change {
  readonly state: WebhookDeliveryState;
  readonly failure?: WebhookFailureReason;
  readonly nextMs?: number;
}

function failed(failure: WebhookFailureReason): Change {
  return { state: WebhookDeliveryState.FAILED, failure };
}

function postingOf({ deliveryId, record }: StoredDelivery): Posting {
  const { traceparent, tracestate } = record;
  return {
    deliveryId,
    eventType: record.delivery.eventType,
    taskId: record.delivery.taskId,
    body: record.delivery.body,
    trace: traceparent === "" ? {} : tracestate === "" ? { traceparent } : { traceparent, tracestate },
  };
}

function changedRecord(
  record: SoundDeliveryRecord,
  { state, failure, nextMs }: Change,
  attempt: WebhookAttempt | undefined,
  nowMs: number,
): SoundDeliveryRecord {
  const { nextAttemptTime: _, ...rest } = record.delivery;
  const made = attempt === undefined ? [] : [attempt];
  return {
    ...record,
    attemptsSpent: record.attemptsSpent + made.length,
    delivery: {
      ...rest,
      state,
      failureReason: failure ?? WebhookFailureReason.UNSPECIFIED,
      attemptCount: rest.attemptCount + made.length,
      attempts: [...rest.attempts, ...made].slice(-MAX_KEPT_ATTEMPTS),
      updateTime: timestampFromMs(nowMs),
      ...(nextMs === undefined ? {} : { nextAttemptTime: timestampFromMs(nextMs) }),
    },
  };
}
