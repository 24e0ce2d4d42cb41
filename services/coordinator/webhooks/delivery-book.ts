// What the holder of the role knows of all deliveries, without their bodies: which are due, in which order they may go out, and the lists of
// them. Held in memory and made anew from the stored deliveries whenever somebody takes the role over.

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { toBinary, fromBinary } from "@bufbuild/protobuf";
import { type WebhookDelivery, WebhookDeliverySchema, WebhookDeliveryState } from "../../../gen/mycel/v1/webhook_pb.ts";
import type { StoredDelivery } from "../../../lib/nats/webhook-deliveries.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";

/** A delivery that is due. */
export interface DueDelivery {
  readonly tenant: string;
  readonly deliveryId: string;
  readonly endpointId: string;
  readonly revision: number;
}

/** Which deliveries to list. */
export interface DeliveryFilter {
  readonly tenant: string;
  /** All if empty. */
  readonly endpointId: string;
  /** All if empty. */
  readonly taskId: string;
  /** All if empty. */
  readonly states: readonly WebhookDeliveryState[];
}

/** The place of a delivery in the lists. */
export interface DeliveryPlace {
  readonly createMs: number;
  readonly deliveryId: string;
}

const SCHEMA = `
  CREATE TABLE deliveries (
    tenant TEXT NOT NULL,
    receiver TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    event_sequence INTEGER NOT NULL,
    state INTEGER NOT NULL,
    create_ms INTEGER NOT NULL,
    next_ms INTEGER,
    revision INTEGER NOT NULL,
    claimed INTEGER NOT NULL DEFAULT 0,
    shown BLOB NOT NULL,
    PRIMARY KEY (tenant, delivery_id)
  ) WITHOUT ROWID;
  CREATE INDEX due ON deliveries (receiver, next_ms) WHERE next_ms IS NOT NULL AND claimed = 0;
  CREATE INDEX soonest ON deliveries (next_ms) WHERE next_ms IS NOT NULL AND claimed = 0;
  CREATE INDEX waiting ON deliveries (tenant, task_id, event_sequence) WHERE next_ms IS NOT NULL;
  CREATE INDEX newest ON deliveries (tenant, create_ms, delivery_id);
  CREATE INDEX of_endpoint ON deliveries (tenant, endpoint_id, create_ms, delivery_id);
  CREATE INDEX of_task ON deliveries (tenant, task_id, create_ms, delivery_id);
  CREATE INDEX oldest ON deliveries (revision);
`;

/** Deliveries of one task to one endpoint go out in the order of its events: those before one that waits are ended first. */
const DUE = `
  SELECT tenant, delivery_id, endpoint_id, revision FROM deliveries AS d
  WHERE receiver = ? AND next_ms IS NOT NULL AND claimed = 0 AND next_ms <= ?
    AND NOT EXISTS (
      SELECT 1 FROM deliveries AS e WHERE e.tenant = d.tenant AND e.task_id = d.task_id AND e.next_ms IS NOT NULL
        AND e.event_sequence < d.event_sequence AND e.endpoint_id = d.endpoint_id
    )
  ORDER BY next_ms LIMIT ?
`;

/** From one receiver to the next, instead of over all that waits for each. */
const RECEIVERS = `
  WITH RECURSIVE receivers (receiver) AS (
    SELECT min(receiver) FROM deliveries WHERE next_ms IS NOT NULL AND claimed = 0
    UNION ALL
    SELECT (
      SELECT min(d.receiver) FROM deliveries AS d
      WHERE d.receiver > receivers.receiver AND d.next_ms IS NOT NULL AND d.claimed = 0
    ) FROM receivers WHERE receivers.receiver IS NOT NULL
  )
  SELECT receiver FROM receivers WHERE receiver IS NOT NULL
`;

/** The deliveries, as the holder knows them. */
export class DeliveryBook implements Disposable {
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #revisionOf: StatementSync;
  readonly #due: StatementSync;
  readonly #receivers: StatementSync;
  readonly #nextDue: StatementSync;
  readonly #claim: StatementSync;
  readonly #postpone: StatementSync;
  readonly #remove: StatementSync;
  readonly #forget: StatementSync;

  constructor() {
    this.#database = new DatabaseSync(":memory:");
    this.#database.exec(SCHEMA);
    const prepare = (sql: string): StatementSync => this.#database.prepare(sql);
    this.#put = prepare(
      `INSERT OR REPLACE INTO deliveries
       (tenant, receiver, delivery_id, endpoint_id, task_id, event_sequence, state, create_ms, next_ms, revision, shown)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#revisionOf = prepare("SELECT revision FROM deliveries WHERE tenant = ? AND delivery_id = ?");
    this.#due = prepare(DUE);
    this.#receivers = prepare(RECEIVERS);
    this.#nextDue = prepare("SELECT min(next_ms) AS at FROM deliveries WHERE next_ms IS NOT NULL AND claimed = 0");
    this.#claim = prepare("UPDATE deliveries SET claimed = ? WHERE tenant = ? AND delivery_id = ?");
    this.#postpone = prepare(
      "UPDATE deliveries SET claimed = 0, next_ms = ? WHERE tenant = ? AND delivery_id = ? AND next_ms IS NOT NULL",
    );
    this.#remove = prepare("DELETE FROM deliveries WHERE tenant = ? AND delivery_id = ?");
    this.#forget = prepare("DELETE FROM deliveries WHERE revision < ?");
  }

  /** Takes up a delivery as it stands, unless a later version of it is known. What was claimed is free again. */
  put({ tenant, deliveryId, record, revision }: StoredDelivery): void {
    const { delivery } = record;
    if ((this.revisionOf(tenant, deliveryId) ?? 0) > revision) return;
    const pending = delivery.state === WebhookDeliveryState.PENDING;
    this.#put.run(
      tenant,
      receiverOf(tenant, delivery.endpointId),
      deliveryId,
      delivery.endpointId,
      delivery.taskId,
      Number(record.eventSequence),
      delivery.state,
      msFromTimestamp(delivery.createTime) ?? 0,
      pending ? (msFromTimestamp(delivery.nextAttemptTime) ?? 0) : null,
      revision,
      toBinary(WebhookDeliverySchema, shownOf(delivery)),
    );
  }

  /** The version of a delivery that is known; undefined if it is not. */
  revisionOf(tenant: string, deliveryId: string): number | undefined {
    const revision = this.#revisionOf.get(tenant, deliveryId)?.["revision"];
    return typeof revision === "number" ? revision : undefined;
  }

  /** Forgets a delivery that stands no longer. */
  remove(tenant: string, deliveryId: string): void {
    this.#remove.run(tenant, deliveryId);
  }

  /** Forgets what is stored no longer: what stood under a lower revision than this one was taken out, for its age or for want of room. */
  forgetBefore(revision: number): void {
    this.#forget.run(revision);
  }

  /** Who has something waiting that nobody has taken yet. */
  waitingReceivers(): readonly string[] {
    return this.#receivers.all().map(({ receiver }) => String(receiver));
  }

  /** Takes deliveries to a receiver that are due, the longest due first; each until it is put or postponed. */
  claimDue(receiver: string, nowMs: number, limit: number): readonly DueDelivery[] {
    const due = this.#due.all(receiver, nowMs, limit).map((row) => ({
      tenant: String(row["tenant"]),
      deliveryId: String(row["delivery_id"]),
      endpointId: String(row["endpoint_id"]),
      revision: Number(row["revision"]),
    }));
    for (const { tenant, deliveryId } of due) this.#claim.run(1, tenant, deliveryId);
    return due;
  }

  /** Frees a claimed delivery, to be taken again at a time. Nothing is stored of it. */
  postpone({ tenant, deliveryId }: DueDelivery, untilMs: number): void {
    this.#postpone.run(Math.round(untilMs), tenant, deliveryId);
  }

  /** When the next delivery is due, in milliseconds since 1970; undefined if none waits. */
  nextDueMs(): number | undefined {
    const at = this.#nextDue.get()?.["at"];
    return typeof at === "number" ? at : undefined;
  }

  /** Deliveries after a place, newest first. */
  list(filter: DeliveryFilter, after: DeliveryPlace | undefined, limit: number): readonly WebhookDelivery[] {
    const conditions = ["tenant = ?"];
    const values: (string | number)[] = [filter.tenant];
    const where = (condition: string, ...given: (string | number)[]): void => {
      conditions.push(condition);
      values.push(...given);
    };
    if (filter.endpointId !== "") where("endpoint_id = ?", filter.endpointId);
    if (filter.taskId !== "") where("task_id = ?", filter.taskId);
    if (filter.states.length > 0) where(`state IN (${filter.states.map(() => "?").join(", ")})`, ...filter.states);
    if (after !== undefined) where("(create_ms, delivery_id) < (?, ?)", after.createMs, after.deliveryId);
    const rows = this.#database
      .prepare(
        `SELECT shown FROM deliveries WHERE ${conditions.join(" AND ")} ORDER BY create_ms DESC, delivery_id DESC LIMIT ?`,
      )
      .all(...values, limit);
    return rows.flatMap(({ shown }) => (shown instanceof Uint8Array ? [fromBinary(WebhookDeliverySchema, shown)] : []));
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

/** Names an endpoint of any tenant. Neither name has a dot. */
function receiverOf(tenant: string, endpointId: string): string {
  return `${tenant}.${endpointId}`;
}

/** A delivery as lists show it. */
export function shownOf(delivery: WebhookDelivery): WebhookDelivery {
  return { ...delivery, attempts: [], body: "" };
}
