// The duty of delivering webhooks, from the moment a coordinator takes the role to the moment it loses it: takes up what stands, follows the
// tasks with hooks, posts what is due, and answers for it.

import { fromBinary, toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import {
  ListWebhookDeliveriesRequestSchema,
  ListWebhookDeliveriesResponseSchema,
  RedeliverWebhookRequestSchema,
  RedeliverWebhookResponseSchema,
} from "../../../gen/mycel/v1/webhook_service_pb.ts";
import type {
  ListWebhookDeliveriesRequest,
  ListWebhookDeliveriesResponse,
} from "../../../gen/mycel/v1/webhook_service_pb.ts";
import type { WebhookDelivery } from "../../../gen/mycel/v1/webhook_pb.ts";
import { create } from "@bufbuild/protobuf";
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { WEBHOOK_RETRY_POLICY, type WebhookRetryPolicy } from "../../../lib/core/webhook-attempt.ts";
import { POSTING_LIMITS } from "../../../lib/core/webhook-delivery.ts";
import type { NatsConnection } from "../../../lib/nats/connection.ts";
import type { DirectReader } from "../../../lib/nats/direct-reader.ts";
import type { EventReader } from "../../../lib/nats/event-reader.ts";
import { onInterruption } from "../../../lib/nats/interruptions.ts";
import { listenToEvents } from "../../../lib/nats/live-events.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import type { WebhookDeliveries } from "../../../lib/nats/webhook-deliveries.ts";
import type { WebhookEndpoints } from "../../../lib/nats/webhook-endpoints.ts";
import type { WebhookHooks } from "../../../lib/nats/webhook-hooks.ts";
import { answerAsHolder } from "../../../lib/nats/holder-requests.ts";
import { WEBHOOK_QUESTIONS, type WebhookVerb, webhooksUnavailable } from "../../../lib/nats/webhook-requests.ts";
import { pause } from "../../../lib/time/pause.ts";
import { Courier, type CourierParts } from "./courier.ts";
import { DeliveryBook } from "./delivery-book.ts";
import { listDeliveries, redeliver } from "./delivery-desk.ts";
import { makeDelivery } from "./delivery-maker.ts";
import { HookFollower } from "./hook-follower.ts";

/** What the duty needs. */
export interface DutyParts {
  readonly connection: NatsConnection;
  readonly reader: DirectReader;
  readonly taskLog: TaskLog;
  readonly eventReader: EventReader;
  readonly endpoints: WebhookEndpoints;
  readonly hooks: WebhookHooks;
  readonly deliveries: WebhookDeliveries;
  readonly post: CourierParts["post"];
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** Default {@link WEBHOOK_RETRY_POLICY}. */
  readonly policy?: WebhookRetryPolicy | undefined;
}

/** How often to look for what passed unheard of new hooks, in milliseconds. */
const ROUND_MS = 1_000;

/** Every so many rounds all hooks that are known are looked after; every so many the stored ones are gone through. */
const ROUNDS_PER_FULL = 15;
const ROUNDS_PER_RELOAD = 60;

/** When to try again to take the duty up, in milliseconds. */
const RETRY_MS = 1_000;

/** Begins the duty; what stands is taken up in the background. */
export function openDuty(parts: DutyParts): Duty {
  const duty = new Duty(parts);
  duty.start();
  return duty;
}

/** The duty, under way. */
export class Duty implements AsyncDisposable {
  readonly #parts: DutyParts;
  readonly #book = new DeliveryBook();
  readonly #courier: Courier;
  readonly #follower: HookFollower;
  readonly #stopping = new AbortController();
  #missed = new AbortController();
  #ready = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: DutyParts) {
    this.#parts = parts;
    const { deliveries, endpoints, clock, logger, random, policy = WEBHOOK_RETRY_POLICY } = parts;
    const book = this.#book;
    this.#courier = new Courier({
      book,
      deliveries,
      endpoints,
      post: parts.post,
      policy,
      limits: POSTING_LIMITS,
      clock,
      random,
      onTrouble: (err, deliveryId) =>
        logger.warn({ err, delivery_id: deliveryId }, "webhook not delivered; trying again"),
    });
    this.#follower = new HookFollower({
      hooks: parts.hooks,
      taskLog: parts.taskLog,
      eventReader: parts.eventReader,
      reader: parts.reader,
      listen: (tenant, taskId, onEvent) => listenToEvents(parts.connection, tenant, taskId, onEvent),
      clock,
      deliver: async (record, event) => {
        await makeDelivery({ deliveries, book, now: () => clock.now() }, record, event);
        this.#courier.wake();
      },
      onTrouble: (err, taskId) => logger.warn({ err, task_id: taskId }, "webhook of a task not made; trying again"),
    });
  }

  /** Begins. */
  start(): void {
    this.#loop = this.#run().catch((err: unknown) => {
      this.#parts.logger.error({ err }, "webhooks are not delivered any more");
    });
  }

  /** Lists deliveries. Throws WEBHOOKS_UNAVAILABLE while what stands is being taken up. */
  list(tenant: string, request: ListWebhookDeliveriesRequest): ListWebhookDeliveriesResponse {
    this.#checkReady();
    return listDeliveries(this.#book, tenant, request);
  }

  /** Starts a delivery anew. Throws as `redeliver` does, and WEBHOOKS_UNAVAILABLE. */
  async redeliver(tenant: string, deliveryId: string): Promise<WebhookDelivery> {
    this.#checkReady();
    const { deliveries, clock } = this.#parts;
    const onDue = (): void => this.#courier.wake();
    return await redeliver({ book: this.#book, deliveries, clock, onDue }, tenant, deliveryId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#follower[Symbol.asyncDispose]();
    await this.#courier[Symbol.asyncDispose]();
    this.#book[Symbol.dispose]();
  }

  #checkReady(): void {
    if (!this.#ready) throw webhooksUnavailable("webhooks are being taken over");
  }

  async #run(): Promise<void> {
    const { connection, hooks, logger } = this.#parts;
    const { signal } = this.#stopping;
    // Heard from now on, so that none is written unheard while those that stand are read.
    using _hooks = hooks.listen((hook) => this.#follower.follow(hook, "just_written"));
    using _interruptions = onInterruption(connection, () => this.#missed.abort());
    if (!(await this.#takeUp())) return;
    await using _answers = answerAsHolder(
      connection,
      WEBHOOK_QUESTIONS,
      (verb, { tenant }, request) => this.#answer(verb, tenant, request),
      (err) => logger.error({ err }, "webhooks could not be looked at"),
    );
    for (let rounds = 1; !signal.aborted; rounds += 1) {
      const { signal: missed } = this.#missed;
      await pause(ROUND_MS, signal, missed);
      if (signal.aborted) return;
      if (missed.aborted) this.#missed = new AbortController();
      const all = missed.aborted || rounds % ROUNDS_PER_FULL === 0;
      await this.#round(all ? "all" : "new", missed.aborted || rounds % ROUNDS_PER_RELOAD === 0);
    }
  }

  /**
   * Takes up what stands; false if the duty ended before. First the hooks, then the deliveries: what whoever had the duty before stored
   * since then is stored for a hook that was seen here, and is found again when its task is looked at.
   */
  async #takeUp(): Promise<boolean> {
    const { logger, hooks, deliveries } = this.#parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const standing = [];
        for await (const some of hooks.all(signal)) standing.push(...some);
        for await (const some of deliveries.all(signal)) for (const delivery of some) this.#book.put(delivery);
        if (signal.aborted) return false;
        for (const hook of standing) this.#follower.follow(hook, "standing");
        this.#courier.start();
        this.#ready = true;
        logger.info({ hooks: standing.length }, "webhooks taken up");
        return true;
      } catch (err) {
        logger.warn({ err }, "webhooks not taken up; trying again");
        await pause(RETRY_MS, signal);
      }
    }
    return false;
  }

  async #round(which: "new" | "all", reload: boolean): Promise<void> {
    const { hooks, deliveries, logger } = this.#parts;
    const { signal } = this.#stopping;
    try {
      if (reload) {
        for await (const some of hooks.all(signal)) for (const hook of some) this.#follower.follow(hook, "standing");
      }
      await this.#follower.round(which);
      if (which === "all") this.#book.forgetBefore(await deliveries.firstSequence());
    } catch (err) {
      if (!signal.aborted) logger.warn({ err }, "webhooks not looked after; trying again");
    }
  }

  async #answer(verb: WebhookVerb, tenant: string, request: Uint8Array): Promise<Uint8Array> {
    switch (verb) {
      case "list_deliveries": {
        const response = this.list(tenant, questionIn(ListWebhookDeliveriesRequestSchema, request));
        return toBinary(ListWebhookDeliveriesResponseSchema, response);
      }
      case "redeliver": {
        const { deliveryId } = questionIn(RedeliverWebhookRequestSchema, request);
        const delivery = await this.redeliver(tenant, deliveryId);
        return toBinary(RedeliverWebhookResponseSchema, create(RedeliverWebhookResponseSchema, { delivery }));
      }
    }
  }
}

function questionIn<Desc extends DescMessage>(desc: Desc, request: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(desc, request);
  } catch (cause) {
    throw new MeshError("INVALID_REQUEST", `the question is no ${desc.typeName}`, { cause });
  }
}
