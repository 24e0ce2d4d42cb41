// The RPCs about webhooks.

import type { ServiceImpl } from "@connectrpc/connect";
import type { WebhookService } from "../../../gen/mycel/v1/webhook_service_pb.ts";
import type { Outbound } from "../../../lib/outbound/outbound.ts";
import { deliveryNotFound } from "../webhooks/delivery-desk.ts";
import {
  checkCreate,
  checkDeliveryId,
  checkEndpointId,
  checkEndpointPage,
  checkListDeliveries,
  checkRotate,
  checkUpdate,
} from "../webhooks/requests.ts";
import type { Webhooks } from "../webhooks/webhooks.ts";
import { tenantOf } from "./caller.ts";

/** What the RPCs need. */
export interface WebhookRpcParts {
  readonly webhooks: Webhooks;
  readonly outbound: Pick<Outbound, "checkUrl">;
}

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;

/** Implements the RPCs about webhooks. */
export function webhookRpcs({ webhooks, outbound }: WebhookRpcParts): ServiceImpl<typeof WebhookService> {
  const { desk, endpoints, deliveries } = webhooks;
  return {
    createWebhookEndpoint: (request, context) => {
      checkCreate(request, outbound);
      return desk.create(tenantOf(context), request);
    },
    getWebhookEndpoint: async ({ endpointId }, context) => {
      checkEndpointId(endpointId);
      const { endpoint } = await endpoints.require(tenantOf(context), endpointId);
      return { endpoint };
    },
    listWebhookEndpoints: async ({ pageSize, pageToken }, context) => {
      checkEndpointPage(pageSize, pageToken);
      const size = Math.min(pageSize || DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
      const after = (await endpoints.list(tenantOf(context))).filter(({ endpointId }) => endpointId > pageToken);
      const page = after.slice(0, size);
      return { endpoints: page, nextPageToken: after.length > size ? (page.at(-1)?.endpointId ?? "") : "" };
    },
    updateWebhookEndpoint: async (request, context) => {
      checkUpdate(request, outbound);
      return { endpoint: await desk.update(tenantOf(context), request) };
    },
    deleteWebhookEndpoint: async ({ endpointId }, context) => {
      checkEndpointId(endpointId);
      await desk.delete(tenantOf(context), endpointId);
      return {};
    },
    rotateWebhookSecret: (request, context) => {
      checkRotate(request);
      return desk.rotate(tenantOf(context), request);
    },
    testWebhookEndpoint: ({ endpointId }, context) => {
      checkEndpointId(endpointId);
      return webhooks.test(tenantOf(context), endpointId, context.signal);
    },
    listWebhookDeliveries: (request, context) => {
      const tenant = tenantOf(context);
      checkListDeliveries(tenant, request);
      return webhooks.list(tenant, request);
    },
    getWebhookDelivery: async ({ deliveryId }, context) => {
      checkDeliveryId(deliveryId);
      const delivery = (await deliveries.get(tenantOf(context), deliveryId))?.record.delivery;
      if (delivery === undefined) throw deliveryNotFound(deliveryId);
      return { delivery };
    },
    redeliverWebhook: async (request, context) => {
      checkDeliveryId(request.deliveryId);
      const delivery = await webhooks.redeliver(tenantOf(context), request);
      return delivery === undefined ? {} : { delivery };
    },
  };
}
