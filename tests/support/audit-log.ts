// The stored audit log of a real nats-server, for tests that write it and look at what stands in it.
import type { AuditEntry } from "../../lib/wire/audit-chain.ts";
import { type AuditCheckpoint, type AuditFault, AuditVerifier } from "../../lib/wire/audit-verifier.ts";
import type { Logger } from "../../lib/core/logger.ts";
import { silentLogger } from "../../lib/core/logger.ts";
import { AuditStream, type AuditStreamParts } from "../../lib/nats/audit-log.ts";
import { openNats } from "../../lib/nats/connection.ts";
import { DirectReader } from "../../lib/nats/direct-reader.ts";
import { StreamPublisher } from "../../lib/nats/stream-publisher.ts";
import { ensureTopology, type TopologyOptions } from "../../lib/nats/topology.ts";
import { auditEntryIn } from "../../lib/wire/audit-codec.ts";
import { StoredAuditLog, type StoredAuditLogOptions } from "../../services/coordinator/audit/stored-audit-log.ts";
import { SYSTEM_CLOCK } from "../../services/coordinator/system-clock.ts";
import { nuid } from "@nats-io/nats-core";
import { openTestNats, type TestNats } from "./nats.ts";

/** A server with all streams. */
export interface AuditBroker extends AsyncDisposable {
  readonly nats: TestNats;
  readonly parts: AuditStreamParts;
  readonly stream: AuditStream;
}

/** Starts a server with all streams. */
export async function openAuditBroker(options: Partial<TopologyOptions> = {}): Promise<AuditBroker> {
  const nats = await openTestNats();
  const connection = await openNats({ servers: nats.url, name: "test" });
  const manager = await ensureTopology(connection, {
    replicas: 1,
    retentionMs: 3_600_000,
    maxBytes: -1,
    agentTtlMs: 30_000,
    ...options,
  });
  const reader = new DirectReader(connection);
  const parts = { connection, manager, reader, publisher: new StreamPublisher(connection, { timeoutMs: 1_000 }) };
  return {
    nats,
    parts,
    stream: new AuditStream(parts),
    async [Symbol.asyncDispose]() {
      await connection.close();
      await nats[Symbol.asyncDispose]();
    },
  };
}

/** A coordinator's audit log over a stream. */
export function auditLogOver(
  stream: StoredAuditLogOptions["stream"],
  options: Partial<StoredAuditLogOptions> = {},
): StoredAuditLog {
  return new StoredAuditLog({
    stream,
    level: "changes",
    clock: SYSTEM_CLOCK,
    logger: silentLogger satisfies Logger,
    holderId: "host.example-4711",
    randomId: () => nuid.next(),
    ...options,
  });
}

/** What stands in a tenant's log, the oldest first. */
export async function entriesOf(stream: Pick<AuditStream, "read">, tenant: string): Promise<AuditEntry[]> {
  const found: AuditEntry[] = [];
  for (let from = 1; ;) {
    const messages = await stream.read(tenant, from);
    found.push(...messages.flatMap(({ entries }) => entries.map(auditEntryIn)));
    const last = messages.at(-1);
    if (last === undefined) return found;
    from = last.sequence + 1;
  }
}

/** What is wrong with entries, none of which is old enough to be removed. */
export function faultsIn(entries: readonly AuditEntry[], checkpoint?: AuditCheckpoint): readonly AuditFault[] {
  const verifier = new AuditVerifier(entries[0]?.tenant ?? "", -Infinity, checkpoint);
  for (const entry of entries) verifier.add(entry);
  return verifier.finish();
}
