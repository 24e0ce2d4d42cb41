// A pause in a cluster: the consumer that is paused may get another leader, which must hold back what the one before it held back.
import { expect, test } from "vitest";
import { openNats } from "../../../lib/nats/connection.ts";
import { StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { dispatchSubject, laneConsumer, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { openNatsCluster } from "../../support/nats-cluster.ts";
import { openPausing, pullStanding, TENANT } from "./pausing.ts";

test("a paused lane stays so under its next leader, which brings work to the pulls that stand when it goes on", async () => {
  await using cluster = await openNatsCluster();
  const connection = await openNats({ servers: cluster.url, name: "test" });
  await using _ = connection;
  const topology = { replicas: 3, retentionMs: 600_000, maxBytes: 50_000_000, agentTtlMs: 5_000 };
  const manager = await ensureTopology(connection, topology);
  await using coordinator = await openPausing({ connection, manager }, () => undefined);
  const consumer = laneConsumer(TENANT, "led", 5);
  const leader = async (): Promise<string | undefined> => {
    const info = await manager.consumers.info(TASKS_STREAM, consumer).catch(() => undefined);
    return info?.cluster?.leader;
  };
  await coordinator.lanes.lanesOf(TENANT, "led");
  await coordinator.pause("led");
  await coordinator.pauses.settle(TENANT, "led");

  const before = await leader();
  await connection.request(`$JS.API.CONSUMER.LEADER.STEPDOWN.${TASKS_STREAM}.${consumer}`);
  await expect.poll(async () => ((await leader()) ?? before) !== before, { timeout: 20_000 }).toBe(true);

  using pull = pullStanding(connection, "led", 14_000);
  const body = new Uint8Array();
  await new StreamPublisher(connection).publish({ subject: dispatchSubject(TENANT, "waits", "led", 5), body });
  using quick = pullStanding(connection, "led", 500);
  await expect.poll(() => quick.came.length, { timeout: 10_000 }).toBeGreaterThan(2);
  expect(quick.came.every(({ what }) => what === "100")).toBe(true);
  expect(pull.came).toEqual([]);
  expect((await manager.consumers.info(TASKS_STREAM, consumer)).paused).toBe(true);

  await coordinator.resume("led");

  await expect.poll(() => pull.came, { timeout: 5_000 }).toEqual([{ what: "waits", deliveries: 1 }]);
});
