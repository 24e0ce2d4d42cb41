// Makes the delivery of one event of a task, once: its name follows from the event, and whoever comes second finds it.

import { create } from "@bufbuild/protobuf";
import { WebhookDeliveryRecordSchema } from "../../../gen/mycel/v1/webhook_log_pb.ts";
import { WebhookDeliverySchema, WebhookDeliveryState } from "../../../gen/mycel/v1/webhook_pb.ts";
import { deliveryIdOf, eventTypeOf } from "../../../lib/core/webhook-delivery.ts";
import type { WebhookDeliveries } from "../../../lib/nats/webhook-deliveries.ts";
import { stateFromWire } from "../../../lib/wire/state-codec.ts";
import type { TaskRecord } from "../../../lib/wire/task-codec.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { webhookBody } from "../../../lib/wire/webhook-body.ts";
import type { SoundDeliveryRecord } from "../../../lib/wire/webhook-records.ts";
import type { DeliveryBook } from "./delivery-book.ts";

/** What making deliveries needs. */
export interface DeliveryMakerParts {
  readonly deliveries: Pick<WebhookDeliveries, "get" | "write">;
  readonly book: DeliveryBook;
  readonly now: () => number;
}

/** Stores the delivery of an event to the endpoint that the task names, unless it stands. Throws MeshError BROKER_UNAVAILABLE. */
export async function makeDelivery(
  { deliveries, book, now }: DeliveryMakerParts,
  record: TaskRecord,
  event: NonNullable<TaskRecord["event"]>,
): Promise<void> {
  const { tenant } = record;
  const made = deliveryRecord(record, event, now());
  if (made === undefined) return;
  const { deliveryId } = made.delivery;
  if (book.revisionOf(tenant, deliveryId) !== undefined) return;
  const revision = await deliveries.write(tenant, made, 0);
  if (revision !== undefined) {
    book.put({ tenant, deliveryId, record: made, revision });
    return;
  }
  // Whoever held the role before has made it; what became of it stands there.
  const standing = await deliveries.get(tenant, deliveryId);
  if (standing !== undefined) book.put(standing);
}

function deliveryRecord(
  record: TaskRecord,
  event: NonNullable<TaskRecord["event"]>,
  nowMs: number,
): SoundDeliveryRecord | undefined {
  const webhook = record.dispatch.message.task?.webhook;
  const state = stateFromWire(event.message.state);
  if (webhook === undefined || state === undefined) return undefined;
  const now = timestampFromMs(nowMs);
  const delivery = create(WebhookDeliverySchema, {
    deliveryId: deliveryIdOf(record.taskId, event.sequence),
    endpointId: webhook.endpointId,
    taskId: record.taskId,
    eventType: eventTypeOf(state),
    state: WebhookDeliveryState.PENDING,
    createTime: now,
    updateTime: now,
    nextAttemptTime: now,
    body: webhookBody(record, event, state),
  });
  const { traceparent, tracestate } = record.trace;
  const eventSequence = BigInt(event.sequence);
  return { ...create(WebhookDeliveryRecordSchema, { eventSequence, traceparent, tracestate }), delivery };
}
