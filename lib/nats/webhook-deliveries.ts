// The deliveries as they are stored: made once under a name that follows from the event, then changed by compare-and-set.

import { toBinary } from "@bufbuild/protobuf";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { WebhookDeliveryRecordSchema } from "../../gen/mycel/v1/webhook_log_pb.ts";
import {
  parseWebhookSubject,
  WEBHOOK_DELIVERIES_STREAM,
  WEBHOOK_DELIVERY_SUBJECTS,
  webhookDeliverySubject,
} from "../wire/subjects.ts";
import { readDeliveryRecord, type SoundDeliveryRecord } from "../wire/webhook-records.ts";
import type { DirectReader } from "./direct-reader.ts";
import { readFromLeader } from "./stream-leader.ts";
import type { StreamPublisher } from "./stream-publisher.ts";
import { scanStream } from "./stream-scan.ts";
import { brokerUnavailable, notServed, storageFull } from "./broker-errors.ts";

/** A delivery as it stands. */
export interface StoredDelivery {
  readonly tenant: string;
  readonly deliveryId: string;
  readonly record: SoundDeliveryRecord;
  /** The sequence under which it stands. */
  readonly revision: number;
}

/** What reading and writing deliveries needs. */
export interface WebhookDeliveriesParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly publisher: Pick<StreamPublisher, "publish">;
  readonly reader: Pick<DirectReader, "read">;
}

/** Reads and writes deliveries. Every method throws MeshError BROKER_UNAVAILABLE when the broker does not answer. */
export class WebhookDeliveries {
  readonly #parts: WebhookDeliveriesParts;

  constructor(parts: WebhookDeliveriesParts) {
    this.#parts = parts;
  }

  /** A delivery, by the leader's word; undefined if there is none, or none that can be read. */
  async get(tenant: string, deliveryId: string): Promise<StoredDelivery | undefined> {
    const query = { last_by_subj: webhookDeliverySubject(tenant, deliveryId) };
    const message = await readFromLeader(this.#parts.connection, WEBHOOK_DELIVERIES_STREAM, query);
    return message === undefined ? undefined : deliveryIn(message);
  }

  /**
   * Writes a delivery if what stands has this revision, 0 for nothing. Returns its revision; undefined if something else stands. A write
   * whose answer got lost is looked for: the same record is one's own.
   */
  async write(tenant: string, record: SoundDeliveryRecord, revision: number): Promise<number | undefined> {
    const { deliveryId } = record.delivery;
    const subject = webhookDeliverySubject(tenant, deliveryId);
    const body = toBinary(WebhookDeliveryRecordSchema, record);
    const outcome = await this.#parts.publisher.publish({ subject, body, expected: revision });
    switch (outcome.kind) {
      case "stored":
        return outcome.sequence;
      case "conflict":
        return undefined;
      case "full":
        throw storageFull();
      case "unserved":
        throw notServed();
      case "unknown": {
        const standing = await this.get(tenant, deliveryId);
        if (standing === undefined || standing.revision === revision) throw brokerUnavailable(outcome.cause);
        const own = Buffer.compare(toBinary(WebhookDeliveryRecordSchema, standing.record), body) === 0;
        return own ? standing.revision : undefined;
      }
    }
  }

  /** What stands under a lower sequence than this was taken out: it was too old, or there was no room for it. */
  async firstSequence(): Promise<number> {
    try {
      return (await this.#parts.manager.streams.info(WEBHOOK_DELIVERIES_STREAM)).state.first_seq;
    } catch (cause) {
      throw brokerUnavailable(cause);
    }
  }

  /** All deliveries that stand, in batches. What can't be read is left out. */
  async *all(signal?: AbortSignal): AsyncGenerator<readonly StoredDelivery[], void, undefined> {
    const scan = scanStream(this.#parts, WEBHOOK_DELIVERIES_STREAM, WEBHOOK_DELIVERY_SUBJECTS, signal);
    for await (const messages of scan) yield messages.flatMap((message) => deliveryIn(message) ?? []);
  }
}

function deliveryIn({
  subject,
  sequence,
  body,
}: {
  readonly subject: string;
  readonly sequence: number;
  readonly body: Uint8Array;
}): StoredDelivery | undefined {
  const parsed = parseWebhookSubject(subject, "delivery");
  const record = parsed === undefined ? undefined : readDeliveryRecord(body, parsed.id);
  if (parsed === undefined || record === undefined) return undefined;
  return { tenant: parsed.tenant, deliveryId: parsed.id, record, revision: sequence };
}
