// Replicas are read each from its own server: what one of them has lost is seen, though the others have it.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openNats } from "../../lib/nats/connection.ts";
import { StreamPublisher } from "../../lib/nats/stream-publisher.ts";
import { ensureTopology } from "../../lib/nats/topology.ts";
import { OUTPUT_STREAM, outputSubject } from "../../lib/wire/subjects.ts";
import { type NatsCluster, openNatsCluster } from "../support/nats-cluster.ts";
import { compareReplicas, replicaFaults } from "./replicas.ts";

const MESSAGES = 50;
let cluster: NatsCluster;
let connection: NatsConnection;
let manager: JetStreamManager;

beforeAll(async () => {
  cluster = await openNatsCluster();
  connection = await openNats({ servers: cluster.url, name: "test" });
  manager = await ensureTopology(connection, { replicas: 3, retentionMs: 600_000, maxBytes: -1, agentTtlMs: 5_000 });
  const publisher = new StreamPublisher(connection);
  for (let i = 1; i <= MESSAGES; i += 1) {
    await publisher.publish({ subject: outputSubject("default", `t${i}`, "a1", 1), body: Buffer.from(`output ${i}.`) });
  }
  await manager.streams.deleteMessage(OUTPUT_STREAM, 7, false);
});

afterAll(async () => {
  await connection.close();
  await cluster[Symbol.asyncDispose]();
});

test("three replicas that hold the same are told so, deleted messages included", async () => {
  const { replicas, differences } = await compareReplicas(connection, OUTPUT_STREAM);

  expect(replicas.map(({ server }) => server).sort()).toEqual(["n0", "n1", "n2"]);
  for (const { lastSequence, messages } of replicas) expect([lastSequence, messages]).toEqual([MESSAGES, MESSAGES - 1]);
  expect(differences).toEqual([]);
  expect(await replicaFaults(connection, [OUTPUT_STREAM])).toEqual([]);
});

test("a message that one server has lost is told, with what the others have", async () => {
  const leader = await cluster.leaderOf(OUTPUT_STREAM);
  const victim = cluster.nodes.find(({ index }) => index !== leader.index)!;
  await victim.stop();
  const block = readdirSync(victim.dataDir, { recursive: true }).find((file) =>
    /MYCEL_OUTPUT.msgs.1\.blk$/.test(String(file)),
  );
  const path = join(victim.dataDir, String(block));
  const bytes = readFileSync(path);
  // One bit of one message, as a disk does it.
  bytes[bytes.indexOf("output 20.") + 7]! ^= 1;
  writeFileSync(path, bytes);
  await victim.restart();

  const { differences } = await compareReplicas(connection, OUTPUT_STREAM);

  expect(differences.map(({ sequence }) => sequence)).toEqual([20]);
  const { [victim.serverName]: lost, ...others } = differences[0]!.found;
  expect(lost).toBeUndefined();
  expect(new Set(Object.values(others)).size).toBe(1);
  const [fault] = await replicaFaults(connection, [OUTPUT_STREAM], 0);
  expect(fault).toContain(`differ at 20:`);
  expect(fault).toContain(`${victim.serverName} nothing`);
});
