// The webhook endpoints as they are stored: each read is the leader's word, each change a compare-and-set.

import { create, toBinary } from "@bufbuild/protobuf";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { WebhookEndpointRecordSchema } from "../../gen/mycel/v1/webhook_log_pb.ts";
import type { WebhookEndpoint } from "../../gen/mycel/v1/webhook_pb.ts";
import { MeshError } from "../core/mesh-error.ts";
import type { SigningSecret } from "../core/webhook-secrets.ts";
import {
  parseWebhookSubject,
  WEBHOOK_ENDPOINTS_STREAM,
  webhookEndpointFilter,
  webhookEndpointSubject,
} from "../wire/subjects.ts";
import { msFromTimestamp, timestampFromMs } from "../wire/time-codec.ts";
import { readEndpointRecord } from "../wire/webhook-records.ts";
import { brokerUnavailable, notServed, storageFull } from "./broker-errors.ts";
import type { DirectReader } from "./direct-reader.ts";
import { readFromLeader } from "./stream-leader.ts";
import type { PublishOutcome, StreamPublisher } from "./stream-publisher.ts";
import { scanStream } from "./stream-scan.ts";

/** An endpoint with its secrets. */
export interface StoredEndpoint {
  readonly endpoint: WebhookEndpoint;
  /** The one in force first. */
  readonly secrets: readonly SigningSecret[];
  /** The sequence under which it stands. */
  readonly revision: number;
}

/** What reading and writing endpoints needs. */
export interface WebhookEndpointsParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly publisher: Pick<StreamPublisher, "publish">;
  readonly reader: Pick<DirectReader, "read">;
}

/** Reads and writes endpoints. Every method throws MeshError BROKER_UNAVAILABLE when the broker does not answer. */
export class WebhookEndpoints {
  readonly #parts: WebhookEndpointsParts;

  constructor(parts: WebhookEndpointsParts) {
    this.#parts = parts;
  }

  /** An endpoint; undefined if there is none. */
  async get(tenant: string, endpointId: string): Promise<StoredEndpoint | undefined> {
    const query = { last_by_subj: webhookEndpointSubject(tenant, endpointId) };
    const message = await readFromLeader(this.#parts.connection, WEBHOOK_ENDPOINTS_STREAM, query);
    return message === undefined ? undefined : decode(message.body, endpointId, message.sequence);
  }

  /** An endpoint that must be there. Throws WEBHOOK_ENDPOINT_NOT_FOUND. */
  async require(tenant: string, endpointId: string): Promise<StoredEndpoint> {
    const stored = await this.get(tenant, endpointId);
    if (stored === undefined) throw endpointNotFound(endpointId);
    return stored;
  }

  /** The endpoints of a tenant, ordered by id. What can't be read is left out. */
  async list(tenant: string): Promise<readonly WebhookEndpoint[]> {
    const found: WebhookEndpoint[] = [];
    const filter = webhookEndpointFilter(tenant);
    for await (const messages of scanStream(this.#parts, WEBHOOK_ENDPOINTS_STREAM, filter)) {
      for (const { subject, body, sequence } of messages) {
        const id = parseWebhookSubject(subject, "endpoint")?.id;
        const stored = id === undefined ? undefined : decode(body, id, sequence);
        if (stored !== undefined) found.push(stored.endpoint);
      }
    }
    // One that was changed while it was read may have come twice: the later one holds.
    const byId = new Map(found.map((endpoint) => [endpoint.endpointId, endpoint]));
    return [...byId.values()].sort((a, b) => (a.endpointId < b.endpointId ? -1 : 1));
  }

  /** Writes an endpoint if what stands has this revision, 0 for nothing; returns whether it stands now. */
  async write(
    tenant: string,
    endpoint: WebhookEndpoint,
    secrets: readonly SigningSecret[],
    revision: number,
  ): Promise<boolean> {
    const record = create(WebhookEndpointRecordSchema, {
      endpoint,
      secrets: secrets.map(({ secret, expireMs }) => ({
        secret,
        ...(expireMs === undefined ? {} : { expireTime: timestampFromMs(expireMs) }),
      })),
    });
    const subject = webhookEndpointSubject(tenant, endpoint.endpointId);
    const body = toBinary(WebhookEndpointRecordSchema, record);
    return isStored(await this.#parts.publisher.publish({ subject, body, expected: revision }));
  }

  /** Removes an endpoint as it stands under this revision; what was written since stays, and what is gone is no fault. */
  async remove(tenant: string, { endpoint, revision }: StoredEndpoint): Promise<void> {
    try {
      // By its subject: to delete what is gone already would fail.
      const filter = webhookEndpointSubject(tenant, endpoint.endpointId);
      await this.#parts.manager.streams.purge(WEBHOOK_ENDPOINTS_STREAM, { filter, seq: revision + 1 });
    } catch (cause) {
      throw brokerUnavailable(cause);
    }
  }
}

/** Whether a write stands; false after a conflict. Throws MeshError for a broker that did not take it. */
export function isStored(outcome: PublishOutcome): boolean {
  if (outcome.kind === "full") throw storageFull();
  if (outcome.kind === "unserved") throw notServed();
  if (outcome.kind === "unknown") throw brokerUnavailable(outcome.cause);
  return outcome.kind === "stored";
}

/** The error for an endpoint that is not there. */
export function endpointNotFound(endpointId: string): MeshError {
  return new MeshError("WEBHOOK_ENDPOINT_NOT_FOUND", `no webhook endpoint ${JSON.stringify(endpointId)}`, {
    resource: { type: "mycel.v1.WebhookEndpoint", name: endpointId },
  });
}

function decode(body: Uint8Array, endpointId: string, revision: number): StoredEndpoint | undefined {
  const record = readEndpointRecord(body, endpointId);
  if (record === undefined) return undefined;
  const secrets = record.secrets.map(({ secret, expireTime }) => ({ secret, expireMs: msFromTimestamp(expireTime) }));
  return { endpoint: record.endpoint, secrets, revision };
}
