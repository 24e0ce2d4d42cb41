// A stream of a cluster gets a new leader: what the old one was asked is looked after at once, not when its time is up.
import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { openNats } from "../../../lib/nats/connection.ts";
import { StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { openNatsCluster } from "../../support/nats-cluster.ts";

test("a publish under way is given up when the stream has a new leader", async () => {
  await using cluster = await openNatsCluster();
  const connection = await openNats({ servers: cluster.url, name: "test" });
  await using _ = connection;
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: "LED", subjects: ["led"], num_replicas: 3 });
  // Nobody ever answers this one: whoever listens is no stream.
  connection.subscribe("silent", { callback: () => undefined });
  const publisher = new StreamPublisher(connection, { timeoutMs: 3_600_000 });
  const outcome = publisher.publish({ subject: "silent", body: new Uint8Array() });
  await connection.flush();

  await cluster.stepDown("LED");

  expect(await outcome).toMatchObject({ kind: "unknown" });
});
