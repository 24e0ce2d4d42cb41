// Webhooks in one coordinator: it applies for the duty of delivering them, keeps hooks for the tasks that it accepts, and answers the service's
// questions, itself or by asking whoever has the duty.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { TaskWebhook } from "../../../gen/mycel/v1/task_pb.ts";
import type { WebhookDelivery } from "../../../gen/mycel/v1/webhook_pb.ts";
import {
  type ListWebhookDeliveriesRequest,
  ListWebhookDeliveriesRequestSchema,
  type ListWebhookDeliveriesResponse,
  ListWebhookDeliveriesResponseSchema,
  type RedeliverWebhookRequest,
  RedeliverWebhookRequestSchema,
  RedeliverWebhookResponseSchema,
  type TestWebhookEndpointResponse,
  TestWebhookEndpointResponseSchema,
} from "../../../gen/mycel/v1/webhook_service_pb.ts";
import { isDelivered } from "../../../lib/core/webhook-attempt.ts";
import { openRole, type Role } from "../../../lib/nats/role.ts";
import type { StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { WebhookDeliveries } from "../../../lib/nats/webhook-deliveries.ts";
import { WebhookEndpoints } from "../../../lib/nats/webhook-endpoints.ts";
import { WebhookHooks } from "../../../lib/nats/webhook-hooks.ts";
import { askHolder } from "../../../lib/nats/holder-requests.ts";
import { WEBHOOK_QUESTIONS } from "../../../lib/nats/webhook-requests.ts";
import type { Outbound } from "../../../lib/outbound/outbound.ts";
import { carrierFromContext } from "../../../lib/wire/trace-context.ts";
import { TEST_EVENT_TYPE, testBody } from "../../../lib/wire/webhook-body.ts";
import { type Duty, type DutyParts, openDuty } from "./duty.ts";
import { EndpointDesk } from "./endpoint-desk.ts";
import { post } from "./posting.ts";

/** What webhooks need. */
export interface WebhooksOptions extends Omit<DutyParts, "endpoints" | "hooks" | "deliveries" | "post"> {
  readonly manager: JetStreamManager;
  readonly publisher: StreamPublisher;
  readonly outbound: Outbound;
  readonly randomId: () => string;
  /** Who applies for the duty, for people. */
  readonly holderId: string;
}

/** Opens webhooks: from now on this coordinator may have the duty of delivering them. */
export async function openWebhooks(options: WebhooksOptions): Promise<Webhooks> {
  const webhooks = new Webhooks(options);
  await webhooks.open();
  return webhooks;
}

/** Webhooks in one coordinator. */
export class Webhooks implements AsyncDisposable {
  readonly #options: WebhooksOptions;
  /** Makes and changes endpoints. */
  readonly desk: EndpointDesk;
  /** The endpoints as they stand. */
  readonly endpoints: WebhookEndpoints;
  /** The deliveries as they stand. */
  readonly deliveries: WebhookDeliveries;
  readonly #hooks: WebhookHooks;
  readonly #stopping = new AbortController();
  #role: Role | undefined;
  #duty: Duty | undefined;
  /** Terms of duty follow one another. */
  #terms: Promise<void> = Promise.resolve();

  constructor(options: WebhooksOptions) {
    this.#options = options;
    this.endpoints = new WebhookEndpoints(options);
    this.#hooks = new WebhookHooks(options);
    this.deliveries = new WebhookDeliveries(options);
    this.desk = new EndpointDesk({ endpoints: this.endpoints, clock: options.clock, randomId: options.randomId });
  }

  /** Applies for the duty. */
  async open(): Promise<void> {
    const { connection, holderId, clock, logger } = this.#options;
    this.#role = await openRole({
      connection,
      name: "webhooks",
      holderId,
      clock,
      onAcquired: () => this.#follow(() => this.#begin()),
      onLost: () => this.#follow(() => this.#end()),
      onTrouble: (err) => logger.debug({ err, role: "webhooks" }, "role not renewed or applied for"),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error("the coordinator stops"));
    await this.#role?.[Symbol.asyncDispose]();
    await this.#terms;
  }

  /**
   * Keeps the hook of a task that is about to be stored; repeated with every try to store it. Throws WEBHOOK_ENDPOINT_NOT_FOUND and
   * BROKER_UNAVAILABLE.
   */
  async hook(tenant: string, taskId: string, { endpointId }: TaskWebhook): Promise<void> {
    await this.endpoints.require(tenant, endpointId);
    await this.#hooks.put(tenant, taskId, this.#options.clock.now());
  }

  /** Lists deliveries, by whoever has the duty. Throws WEBHOOKS_UNAVAILABLE. */
  async list(tenant: string, request: ListWebhookDeliveriesRequest): Promise<ListWebhookDeliveriesResponse> {
    if (this.#duty !== undefined) return this.#duty.list(tenant, request);
    const question = toBinary(ListWebhookDeliveriesRequestSchema, request);
    const answer = await askHolder(
      this.#options.connection,
      WEBHOOK_QUESTIONS,
      "list_deliveries",
      { tenant },
      question,
    );
    return fromBinary(ListWebhookDeliveriesResponseSchema, answer);
  }

  /** Starts a delivery anew, by whoever has the duty. Throws WEBHOOK_DELIVERY_NOT_FOUND, CONFLICT and WEBHOOKS_UNAVAILABLE. */
  async redeliver(tenant: string, request: RedeliverWebhookRequest): Promise<WebhookDelivery | undefined> {
    if (this.#duty !== undefined) return await this.#duty.redeliver(tenant, request.deliveryId);
    const question = toBinary(RedeliverWebhookRequestSchema, request);
    const answer = await askHolder(this.#options.connection, WEBHOOK_QUESTIONS, "redeliver", { tenant }, question);
    return fromBinary(RedeliverWebhookResponseSchema, answer).delivery;
  }

  /** Posts a test to an endpoint, disabled or not. Throws WEBHOOK_ENDPOINT_NOT_FOUND, and the signal's reason. */
  async test(tenant: string, endpointId: string, signal: AbortSignal): Promise<TestWebhookEndpointResponse> {
    const { clock, outbound, randomId } = this.#options;
    const endpoint = await this.endpoints.require(tenant, endpointId);
    const posting = {
      deliveryId: `msg_test_${randomId()}`,
      eventType: TEST_EVENT_TYPE,
      taskId: "",
      body: testBody(clock.now()),
      trace: carrierFromContext(),
    };
    const ended = AbortSignal.any([signal, this.#stopping.signal]);
    const { attempt, outcome } = await post({ outbound, clock }, endpoint, posting, ended);
    return create(TestWebhookEndpointResponseSchema, {
      deliveryId: posting.deliveryId,
      delivered: isDelivered(outcome.status),
      attempt,
    });
  }

  #follow(step: () => void | Promise<void>): void {
    const before = this.#terms;
    this.#terms = (async () => {
      await before;
      try {
        await step();
      } catch (err) {
        this.#options.logger.error({ err }, "webhooks not delivered");
      }
    })();
  }

  #begin(): void {
    const { outbound, clock, logger } = this.#options;
    logger.info({ role: "webhooks" }, "role acquired");
    this.#duty = openDuty({
      ...this.#options,
      endpoints: this.endpoints,
      hooks: this.#hooks,
      deliveries: this.deliveries,
      post: (endpoint, posting, signal) => post({ outbound, clock }, endpoint, posting, signal),
    });
  }

  async #end(): Promise<void> {
    const duty = this.#duty;
    this.#duty = undefined;
    await duty?.[Symbol.asyncDispose]();
    this.#options.logger.info({ role: "webhooks" }, "role laid down");
  }
}
