// How large the streams get when nobody says so.

import { type JetStreamManager, jetstreamManager, type StreamInfo } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { openNats } from "../../../lib/nats/connection.ts";
import { settleMaxBytes } from "../../../lib/nats/stream-room.ts";
import { ensureTopology, type TopologyOptions } from "../../../lib/nats/topology.ts";
import { BLOBS_BUCKET, OUTPUT_STREAM, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { openTestNats } from "../../support/nats.ts";
import { openNatsCluster } from "../../support/nats-cluster.ts";

const MIB = 1024 * 1024;
const OPTIONS: TopologyOptions = { replicas: 1, retentionMs: 600_000, maxBytes: undefined, agentTtlMs: 3_000 };

/** Makes the streams and returns the sizes that they have. */
async function sizes(url: string, options: Partial<TopologyOptions> = {}): Promise<readonly number[]> {
  await using connection = await openNats({ servers: url, name: "test" });
  const manager = await ensureTopology(connection, { ...OPTIONS, ...options });
  const streams = [TASKS_STREAM, OUTPUT_STREAM, `OBJ_${BLOBS_BUCKET}`];
  return await Promise.all(streams.map(async (name) => (await manager.streams.info(name)).config.max_bytes));
}

test.for([
  [64, 16],
  [255, 32],
  [1_000, 128],
])("a server with %i MiB gets streams of %i MiB each, and keeps a quarter", async ([server, stream]) => {
  await using nats = await openTestNats({ maxFileBytes: server! * MIB });
  expect(await sizes(nats.url)).toEqual([stream! * MIB, stream! * MIB, stream! * MIB]);
});

test("coordinators that start at the same moment agree, and nothing is left of their looking", async () => {
  // Room for one who looks, but not for one who looks once the streams of another stand.
  await using nats = await openTestNats({ maxFileBytes: 600 * MIB });
  const chosen = await Promise.all(Array.from({ length: 6 }, () => sizes(nats.url)));
  expect(await sizes(nats.url)).toEqual([128 * MIB, 128 * MIB, 128 * MIB]);
  expect(new Set(chosen.flat())).toEqual(new Set([128 * MIB]));
  await using connection = await openNats({ servers: nats.url, name: "test" });
  const names = await (await jetstreamManager(connection)).streams.names().next();
  expect(names).not.toContain("MYCEL_ROOM");
});

test("what an operator chose once stays when the setting goes, and so does no limit", async () => {
  await using nats = await openTestNats({ maxFileBytes: 1_000 * MIB });
  for (const maxBytes of [8 * MIB, -1]) {
    await sizes(nats.url, { maxBytes });
    expect(await sizes(nats.url)).toEqual([maxBytes, maxBytes, maxBytes]);
  }
});

test("no room is one clear line, whether a size was asked for or not", async () => {
  await using nats = await openTestNats({ maxFileBytes: 20 * MIB });
  await expect(sizes(nats.url)).rejects.toMatchObject({
    code: "NATS_NO_ROOM",
    message:
      "JetStream has no room for the mesh's streams: give the server more (max_file_store), or set MYCEL_MAX_BYTES",
  });
  await expect(sizes(nats.url, { maxBytes: 100 * MIB })).rejects.toThrow(
    "JetStream has no room for three streams of 104857600 bytes, an eighth of that for webhooks and another for the audit log: lower MYCEL_MAX_BYTES, or raise max_file_store",
  );
});

test("a cluster gets the same sizes as one of its servers would", async () => {
  await using cluster = await openNatsCluster({ settings: { maxFileBytes: 1_000 * MIB } });
  expect(await sizes(cluster.url, { replicas: 3 })).toEqual([128 * MIB, 128 * MIB, 128 * MIB]);
});

test("whoever finds another looking, who is done a moment later, tries again", async () => {
  await using nats = await openTestNats();
  await using connection = await openNats({ servers: nats.url, name: "test" });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: "MYCEL_ROOM", subjects: ["room"], max_bytes: 1 });
  // The other one removes what it looked with, just before this one looks how long it has been there.
  const info = async (name: string): Promise<StreamInfo> => {
    if (name === "MYCEL_ROOM") await manager.streams.delete(name);
    return await manager.streams.info(name);
  };
  const { streams } = manager;
  const late = { streams: { info, add: streams.add.bind(streams), delete: streams.delete.bind(streams) } };
  const settled = settleMaxBytes(late as unknown as JetStreamManager, 1, () => Promise.resolve());
  await expect(settled).rejects.toMatchObject({ code: 10058 });
});
