// Reads what stands in the streams of webhooks: an endpoint or a delivery in which everything is as it must be, or nothing.

import { fromBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type WebhookDeliveryRecord,
  WebhookDeliveryRecordSchema,
  type WebhookEndpointRecord,
  WebhookEndpointRecordSchema,
} from "../../gen/mycel/v1/webhook_log_pb.ts";
import type { WebhookDelivery, WebhookEndpoint } from "../../gen/mycel/v1/webhook_pb.ts";
import { isName, MAX_TASK_ID_LENGTH } from "../core/names.ts";
import { isTimestamp } from "./time-codec.ts";
import { secretFault } from "./webhook-signature.ts";

/** An endpoint's record that has its endpoint. */
export type SoundEndpointRecord = WebhookEndpointRecord & { readonly endpoint: WebhookEndpoint };

/** A delivery's record that has its delivery. */
export type SoundDeliveryRecord = WebhookDeliveryRecord & { readonly delivery: WebhookDelivery };

const MAX_SEQUENCE = BigInt(Number.MAX_SAFE_INTEGER);

/** Reads the endpoint of this id; undefined if it is none. */
export function readEndpointRecord(body: Uint8Array, endpointId: string): SoundEndpointRecord | undefined {
  try {
    const record = fromBinary(WebhookEndpointRecordSchema, body);
    return isSoundEndpoint(record, endpointId) ? record : undefined;
  } catch {
    return undefined;
  }
}

/** Reads the delivery of this id; undefined if it is none. */
export function readDeliveryRecord(body: Uint8Array, deliveryId: string): SoundDeliveryRecord | undefined {
  try {
    const record = fromBinary(WebhookDeliveryRecordSchema, body);
    return isSoundDelivery(record, deliveryId) ? record : undefined;
  } catch {
    return undefined;
  }
}

function isSoundEndpoint(record: WebhookEndpointRecord, endpointId: string): record is SoundEndpointRecord {
  const { endpoint, secrets } = record;
  if (endpoint === undefined || endpoint.endpointId !== endpointId || secrets.length === 0) return false;
  const { createTime, updateTime, disableTime, formerSecretsExpireTime } = endpoint;
  const sound = secrets.every(({ secret, expireTime }) => secretFault(secret) === undefined && areTimes(expireTime));
  return sound && areTimes(createTime, updateTime, disableTime, formerSecretsExpireTime);
}

function isSoundDelivery(record: WebhookDeliveryRecord, deliveryId: string): record is SoundDeliveryRecord {
  const { delivery, eventSequence } = record;
  if (delivery === undefined || delivery.deliveryId !== deliveryId) return false;
  const { endpointId, taskId, createTime, updateTime, nextAttemptTime, attempts } = delivery;
  return (
    isName(endpointId) &&
    isName(taskId, MAX_TASK_ID_LENGTH) &&
    areTimes(createTime, updateTime, nextAttemptTime, ...attempts.map(({ startTime }) => startTime)) &&
    eventSequence <= MAX_SEQUENCE
  );
}

function areTimes(...times: readonly (Timestamp | undefined)[]): boolean {
  return times.every((time) => time === undefined || isTimestamp(time));
}
