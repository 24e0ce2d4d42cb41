// Answers for the deliveries, where the role is held: lists them, and starts one anew.

import { create } from "@bufbuild/protobuf";
import {
  type ListWebhookDeliveriesRequest,
  type ListWebhookDeliveriesResponse,
  ListWebhookDeliveriesResponseSchema,
} from "../../../gen/mycel/v1/webhook_service_pb.ts";
import { type WebhookDelivery, WebhookDeliveryState, WebhookFailureReason } from "../../../gen/mycel/v1/webhook_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { WebhookDeliveries } from "../../../lib/nats/webhook-deliveries.ts";
import { msFromTimestamp, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { type DeliveryBook, type DeliveryFilter, shownOf } from "./delivery-book.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";

/** What answering needs. */
export interface DeliveryDeskParts {
  readonly book: DeliveryBook;
  readonly deliveries: Pick<WebhookDeliveries, "get" | "write">;
  readonly clock: Clock;
  /** Called when a delivery is due that was not. */
  readonly onDue: () => void;
}

const DEFAULT_PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 1_000;

/** How often a redelivery is tried that an attempt keeps overtaking. */
const MAX_TRIES = 5;

/** The filter of a request. */
export function filterOf(tenant: string, request: ListWebhookDeliveriesRequest): DeliveryFilter {
  return { tenant, endpointId: request.endpointId, taskId: request.taskId, states: request.states };
}

/** Answers ListWebhookDeliveries. */
export function listDeliveries(
  book: DeliveryBook,
  tenant: string,
  request: ListWebhookDeliveriesRequest,
): ListWebhookDeliveriesResponse {
  const filter = filterOf(tenant, request);
  const after = request.pageToken === "" ? undefined : decodePageToken(filter, request.pageToken);
  const size = Math.min(request.pageSize || DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
  const found = book.list(filter, after, size + 1);
  const deliveries = found.slice(0, size);
  const last = deliveries.at(-1);
  const nextPageToken =
    found.length <= size || last === undefined
      ? ""
      : encodePageToken(filter, { createMs: msFromTimestamp(last.createTime) ?? 0, deliveryId: last.deliveryId });
  return create(ListWebhookDeliveriesResponseSchema, { deliveries: [...deliveries], nextPageToken });
}

/** Starts a delivery anew and returns it as lists show it. Throws WEBHOOK_DELIVERY_NOT_FOUND, CONFLICT and BROKER_UNAVAILABLE. */
export async function redeliver(
  { book, deliveries, clock, onDue }: DeliveryDeskParts,
  tenant: string,
  deliveryId: string,
): Promise<WebhookDelivery> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const stored = await deliveries.get(tenant, deliveryId);
    if (stored === undefined) throw deliveryNotFound(deliveryId);
    const now = timestampFromMs(clock.now());
    const renewed: WebhookDelivery = {
      ...stored.record.delivery,
      state: WebhookDeliveryState.PENDING,
      failureReason: WebhookFailureReason.UNSPECIFIED,
      updateTime: now,
      nextAttemptTime: now,
    };
    const record = { ...stored.record, delivery: renewed, attemptsSpent: 0 };
    const revision = await deliveries.write(tenant, record, stored.revision);
    if (revision === undefined) continue;
    book.put({ tenant, deliveryId, record, revision });
    onDue();
    return shownOf(renewed);
  }
  throw new MeshError("CONFLICT", `delivery ${deliveryId} is being posted now`, { retryDelayMs: 1_000 });
}

/** The error for a delivery that is not there. */
export function deliveryNotFound(deliveryId: string): MeshError {
  return new MeshError("WEBHOOK_DELIVERY_NOT_FOUND", `no webhook delivery ${JSON.stringify(deliveryId)}`, {
    resource: { type: "mycel.v1.WebhookDelivery", name: deliveryId },
  });
}
