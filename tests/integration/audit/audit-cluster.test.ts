// Chains on a cluster of three, written by several coordinators at once while the leader of the log dies: nothing is lost, nothing doubled.
import { expect, test } from "vitest";
import { AuditStream } from "../../../lib/nats/audit-log.ts";
import { openNats } from "../../../lib/nats/connection.ts";
import { DirectReader } from "../../../lib/nats/direct-reader.ts";
import { StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { AUDIT_STREAM } from "../../../lib/wire/subjects.ts";
import { auditLogOver, entriesOf, faultsIn } from "../../support/audit-log.ts";
import { openNatsCluster } from "../../support/nats-cluster.ts";

test("what coordinators recorded is there once and whole after the leader of the log died", async () => {
  await using cluster = await openNatsCluster();
  const connection = await openNats({ servers: cluster.url, name: "test" });
  const options = { replicas: 3, retentionMs: 3_600_000, maxBytes: -1, agentTtlMs: 30_000 };
  const manager = await ensureTopology(connection, options);
  const reader = new DirectReader(connection);
  const streams = Array.from(
    { length: 3 },
    () =>
      new AuditStream({
        connection,
        manager,
        reader,
        publisher: new StreamPublisher(connection, { timeoutMs: 2_000 }),
      }),
  );
  const logs = streams.map((stream) => auditLogOver(stream, { waitMs: 60_000 }));
  const principal = { kind: "token", id: "ann", tenant: "acme" } as const;
  const change = (log: (typeof logs)[number], name: string): Promise<void> =>
    log.record({ principal, action: "queue:admin", method: "m", resource: { type: "q", name } })!;
  const names: string[] = [];
  const write = async (round: string): Promise<void> => {
    await Promise.all(
      logs.flatMap((log, writer) =>
        Array.from({ length: 20 }, async (_, i) => {
          const name = `${round}-${writer}-${i}`;
          names.push(name);
          await change(log, name);
        }),
      ),
    );
  };
  await write("before");
  const leader = await cluster.leaderOf(AUDIT_STREAM);
  const during = write("during");
  await leader.kill();
  await during;
  await write("after");
  await Promise.all(logs.map((log) => log[Symbol.asyncDispose]()));
  const entries = await entriesOf(streams[0]!, "acme");
  expect(faultsIn(entries)).toEqual([]);
  expect(entries.map(({ resourceName }) => resourceName).toSorted()).toEqual(names.toSorted());
  reader[Symbol.dispose]();
  await connection.close();
}, 120_000);
