// Makes and changes webhook endpoints: what a request asks for, as a compare-and-set that is decided anew if somebody else was faster.

import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type {
  CreateWebhookEndpointRequest,
  RotateWebhookSecretRequest,
  UpdateWebhookEndpointRequest,
} from "../../../gen/mycel/v1/webhook_service_pb.ts";
import {
  type WebhookEndpoint,
  WebhookDisabledReason,
  WebhookEndpointSchema,
} from "../../../gen/mycel/v1/webhook_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { DEFAULT_SECRET_OVERLAP_MS, MAX_WEBHOOK_ENDPOINTS } from "../../../lib/core/webhook-delivery.ts";
import { rotateSecrets, type SigningSecret } from "../../../lib/core/webhook-secrets.ts";
import type { StoredEndpoint, WebhookEndpoints } from "../../../lib/nats/webhook-endpoints.ts";
import { msFromDuration, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { secretOf } from "../../../lib/wire/webhook-signature.ts";

/** What the desk needs. */
export interface EndpointDeskParts {
  readonly endpoints: WebhookEndpoints;
  readonly clock: Clock;
  readonly randomId: () => string;
}

/** An endpoint, and the secret that is shown once. */
export interface ShownSecret {
  readonly endpoint: WebhookEndpoint;
  readonly secret: string;
}

const SECRET_BYTES = 32;

/** How often a change is decided anew. */
const MAX_TRIES = 10;

type Change = (stored: StoredEndpoint) => {
  readonly endpoint: WebhookEndpoint;
  readonly secrets: readonly SigningSecret[];
};

/** Makes and changes endpoints. Every method throws MeshError BROKER_UNAVAILABLE when the broker does not answer. */
export class EndpointDesk {
  readonly #parts: EndpointDeskParts;

  constructor(parts: EndpointDeskParts) {
    this.#parts = parts;
  }

  /** Makes an endpoint. Throws WEBHOOK_ENDPOINT_ALREADY_EXISTS and WEBHOOK_ENDPOINT_LIMIT. */
  async create(tenant: string, request: CreateWebhookEndpointRequest): Promise<ShownSecret> {
    const { endpoints, clock, randomId } = this.#parts;
    const endpointId = request.endpointId || `whe_${randomId()}`;
    if ((await endpoints.list(tenant)).length >= MAX_WEBHOOK_ENDPOINTS) {
      const message = `there are ${MAX_WEBHOOK_ENDPOINTS} webhook endpoints: delete one that is not needed`;
      throw new MeshError("WEBHOOK_ENDPOINT_LIMIT", message);
    }
    const now = timestampFromMs(clock.now());
    const { url, description } = request;
    const endpoint = create(WebhookEndpointSchema, { endpointId, url, description, createTime: now, updateTime: now });
    const secret = request.secret || secretOf(randomBytes(SECRET_BYTES));
    if (await endpoints.write(tenant, endpoint, [{ secret, expireMs: undefined }], 0)) return { endpoint, secret };
    const standing = await endpoints.get(tenant, endpointId);
    // A repetition, or the write itself, whose answer got lost.
    const same =
      standing?.endpoint.url === url &&
      standing.endpoint.description === description &&
      standing.secrets[0]?.secret === secret;
    if (same) return { endpoint: standing.endpoint, secret };
    throw new MeshError("WEBHOOK_ENDPOINT_ALREADY_EXISTS", `webhook endpoint ${endpointId} exists already`, {
      resource: { type: "mycel.v1.WebhookEndpoint", name: endpointId },
    });
  }

  /** Changes an endpoint. Throws WEBHOOK_ENDPOINT_NOT_FOUND. */
  async update(tenant: string, request: UpdateWebhookEndpointRequest): Promise<WebhookEndpoint> {
    const { url, description, disabled } = request;
    const { endpoint } = await this.#change(tenant, request.endpointId, ({ endpoint, secrets }) => {
      const now = timestampFromMs(this.#parts.clock.now());
      const changed: WebhookEndpoint = {
        ...endpoint,
        url: url ?? endpoint.url,
        description: description ?? endpoint.description,
        updateTime: now,
      };
      if (disabled === true && !endpoint.disabled) {
        Object.assign(changed, {
          disabled,
          disabledReason: WebhookDisabledReason.REQUESTED,
          disableTime: now,
        } satisfies Partial<WebhookEndpoint>);
      }
      if (disabled === false) {
        changed.disabled = false;
        changed.disabledReason = WebhookDisabledReason.UNSPECIFIED;
        delete changed.disableTime;
      }
      return { endpoint: changed, secrets };
    });
    return endpoint;
  }

  /** Gives an endpoint another secret. Throws WEBHOOK_ENDPOINT_NOT_FOUND. */
  async rotate(tenant: string, request: RotateWebhookSecretRequest): Promise<ShownSecret> {
    const secret = request.secret || secretOf(randomBytes(SECRET_BYTES));
    const overlapMs = msFromDuration(request.overlap) ?? DEFAULT_SECRET_OVERLAP_MS;
    const { endpoint } = await this.#change(tenant, request.endpointId, ({ endpoint, secrets }) => {
      const nowMs = this.#parts.clock.now();
      const rotated = rotateSecrets(secrets, secret, overlapMs, nowMs);
      const { formerSecretsExpireTime: _, ...rest } = endpoint;
      const lastMs = Math.max(0, ...rotated.map(({ expireMs = 0 }) => expireMs));
      const changed: WebhookEndpoint = { ...rest, updateTime: timestampFromMs(nowMs) };
      if (lastMs > 0) changed.formerSecretsExpireTime = timestampFromMs(lastMs);
      return { endpoint: changed, secrets: rotated };
    });
    return { endpoint, secret };
  }

  /** Deletes an endpoint. Throws WEBHOOK_ENDPOINT_NOT_FOUND. */
  async delete(tenant: string, endpointId: string): Promise<void> {
    const { endpoints } = this.#parts;
    let stored: StoredEndpoint | undefined = await endpoints.require(tenant, endpointId);
    // What was written meanwhile stands under another revision.
    for (let tries = 0; stored !== undefined && tries < MAX_TRIES; tries += 1) {
      await endpoints.remove(tenant, stored);
      stored = await endpoints.get(tenant, endpointId);
    }
  }

  async #change(tenant: string, endpointId: string, change: Change): Promise<ReturnType<Change>> {
    const { endpoints } = this.#parts;
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const stored = await endpoints.require(tenant, endpointId);
      const changed = change(stored);
      if (await endpoints.write(tenant, changed.endpoint, changed.secrets, stored.revision)) return changed;
    }
    throw new MeshError("CONFLICT", `webhook endpoint ${endpointId} changes too fast to be changed now`, {
      retryDelayMs: 100,
    });
  }
}
