// What the requests about webhooks must be: every violation at once.

import type {
  CreateWebhookEndpointRequest,
  ListWebhookDeliveriesRequest,
  RotateWebhookSecretRequest,
  UpdateWebhookEndpointRequest,
} from "../../../gen/mycel/v1/webhook_service_pb.ts";
import { WebhookDeliveryState } from "../../../gen/mycel/v1/webhook_pb.ts";
import { MAX_TASK_ID_LENGTH } from "../../../lib/core/names.ts";
import {
  MAX_DELIVERY_ID_LENGTH,
  MAX_SECRET_OVERLAP_MS,
  MAX_WEBHOOK_DESCRIPTION_LENGTH,
  MAX_WEBHOOK_URL_LENGTH,
} from "../../../lib/core/webhook-delivery.ts";
import type { Outbound } from "../../../lib/outbound/outbound.ts";
import { OutboundError } from "../../../lib/outbound/outbound-error.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import { secretFault } from "../../../lib/wire/webhook-signature.ts";
import { filterOf } from "./delivery-desk.ts";
import { decodePageToken } from "./page-token.ts";

type UrlCheck = Pick<Outbound, "checkUrl">;

/** The most states of a filter. */
const MAX_STATES = 8;

const STATES: ReadonlySet<number> = new Set([
  WebhookDeliveryState.PENDING,
  WebhookDeliveryState.DELIVERED,
  WebhookDeliveryState.FAILED,
]);

/** Checks CreateWebhookEndpoint. Throws INVALID_REQUEST. */
export function checkCreate(request: CreateWebhookEndpointRequest, outbound: UrlCheck): void {
  const v = new Violations();
  v.optionalName("endpoint_id", request.endpointId);
  checkUrl(v, request.url, outbound);
  v.text("description", request.description, MAX_WEBHOOK_DESCRIPTION_LENGTH);
  checkSecret(v, request.secret);
  v.throwIfAny();
}

/** Checks UpdateWebhookEndpoint. Throws INVALID_REQUEST. */
export function checkUpdate(request: UpdateWebhookEndpointRequest, outbound: UrlCheck): void {
  const v = new Violations();
  v.name("endpoint_id", request.endpointId);
  if (request.url !== undefined) checkUrl(v, request.url, outbound);
  v.text("description", request.description ?? "", MAX_WEBHOOK_DESCRIPTION_LENGTH);
  v.throwIfAny();
}

/** Checks RotateWebhookSecret. Throws INVALID_REQUEST. */
export function checkRotate(request: RotateWebhookSecretRequest): void {
  const v = new Violations();
  v.name("endpoint_id", request.endpointId);
  checkSecret(v, request.secret);
  v.duration("overlap", request.overlap, 0, MAX_SECRET_OVERLAP_MS);
  v.throwIfAny();
}

/** Checks a request that only names an endpoint. Throws INVALID_REQUEST. */
export function checkEndpointId(endpointId: string): void {
  const v = new Violations();
  v.name("endpoint_id", endpointId);
  v.throwIfAny();
}

/** Checks a request that only names a delivery. Throws INVALID_REQUEST. */
export function checkDeliveryId(deliveryId: string): void {
  const v = new Violations();
  v.name("delivery_id", deliveryId, MAX_DELIVERY_ID_LENGTH);
  v.throwIfAny();
}

/** Checks a page size and a page token that is the id of the last item of the page before. Throws INVALID_REQUEST. */
export function checkEndpointPage(pageSize: number, pageToken: string): void {
  const v = new Violations();
  if (pageSize < 0) v.add("page_size", `must be at least 0, is ${pageSize}`);
  v.optionalName("page_token", pageToken);
  v.throwIfAny();
}

/** Checks ListWebhookDeliveries. Throws INVALID_REQUEST. */
export function checkListDeliveries(tenant: string, request: ListWebhookDeliveriesRequest): void {
  const v = new Violations();
  const { pageSize, pageToken, endpointId, taskId, states } = request;
  if (pageSize < 0) v.add("page_size", `must be at least 0, is ${pageSize}`);
  v.optionalName("endpoint_id", endpointId);
  v.optionalName("task_id", taskId, MAX_TASK_ID_LENGTH);
  v.count("states", states.length, 0, MAX_STATES);
  const unknown = states.slice(0, MAX_STATES).find((state) => !STATES.has(state));
  if (unknown !== undefined) v.add("states", `${unknown} is not a state of a delivery`);
  if (pageToken !== "" && decodePageToken(filterOf(tenant, request), pageToken) === undefined) {
    v.add("page_token", "is not a token of a list with this filter");
  }
  v.throwIfAny();
}

function checkUrl(v: Violations, url: string, outbound: UrlCheck): void {
  if (url === "") return v.add("url", "is required");
  if (url.length > MAX_WEBHOOK_URL_LENGTH) return v.text("url", url, MAX_WEBHOOK_URL_LENGTH);
  // It would be left out of every request.
  if (url.includes("#")) return v.add("url", "must have no fragment");
  try {
    outbound.checkUrl(url);
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    v.add("url", error.message);
  }
}

function checkSecret(v: Violations, secret: string): void {
  const fault = secret === "" ? undefined : secretFault(secret);
  if (fault !== undefined) v.add("secret", fault);
}
