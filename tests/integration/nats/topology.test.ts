// The streams and buckets as they really come about, and the queues that stand on them.

import { once } from "node:events";
import { createServer } from "node:net";
import { jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { NatsUnavailableError, openNats } from "../../../lib/nats/connection.ts";
import { Lanes } from "../../../lib/nats/lanes.ts";
import { StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { ensureTopology, type TopologyOptions } from "../../../lib/nats/topology.ts";
import {
  AGENTS_BUCKET,
  BLOBS_BUCKET,
  dispatchFilter,
  dispatchSubject,
  laneConsumer,
  OUTPUT_STREAM,
  TASKS_STREAM,
} from "../../../lib/wire/subjects.ts";
import { openTestNats } from "../../support/nats.ts";

const OPTIONS: TopologyOptions = { replicas: 1, retentionMs: 7 * 86_400_000, maxBytes: -1, agentTtlMs: 3_000 };
const now = (): number => performance.now();

async function setup() {
  const nats = await openTestNats();
  const connection = await openNats({ servers: nats.url, name: "test" });
  const manager = await ensureTopology(connection, OPTIONS);
  return {
    nats,
    connection,
    manager,
    publisher: new StreamPublisher(connection),
    [Symbol.asyncDispose]: async () => {
      await connection.close();
      await nats[Symbol.asyncDispose]();
    },
  };
}

describe("the topology", () => {
  test("stays as it is when it is asked for again, and follows changed settings", async () => {
    await using mesh = await setup();
    await ensureTopology(mesh.connection, OPTIONS);
    await ensureTopology(mesh.connection, { ...OPTIONS, retentionMs: 86_400_000, maxBytes: 1_000_000 });
    const manager = await jetstreamManager(mesh.connection);
    const { config } = await manager.streams.info(TASKS_STREAM);
    expect(config).toMatchObject({
      max_age: 86_400_000 * 1_000_000,
      max_bytes: 1_000_000,
      discard: "new",
      allow_direct: true,
    });
    // Whoever may write there must not be able to wipe it.
    expect(config.allow_rollup_hdrs).toBe(false);
  });

  test("does not take one tenant's output for a repetition of another's with the same message id", async () => {
    await using mesh = await setup();
    const { config } = await mesh.manager.streams.info(OUTPUT_STREAM);
    // Whoever has guessed an id would have to be as quick with each output.
    expect(config.duplicate_window).toBe(100 * 1_000_000);
  });

  test("lets the buckets follow changed settings too, longer and shorter", async () => {
    await using mesh = await setup();
    for (const [agentTtlMs, retentionMs] of [
      [300_000, 8 * 86_400_000],
      [2_000, 86_400_000],
    ] as const) {
      await ensureTopology(mesh.connection, { ...OPTIONS, agentTtlMs, retentionMs });
      const agents = await mesh.manager.streams.info(`KV_${AGENTS_BUCKET}`);
      expect(agents.config).toMatchObject({
        max_age: agentTtlMs * 1_000_000,
        subject_delete_marker_ttl: agentTtlMs * 1_000_000,
      });
      const blobs = await mesh.manager.streams.info(`OBJ_${BLOBS_BUCKET}`);
      expect(blobs.config.max_age).toBe(retentionMs * 1_000_000);
    }
  });

  test("a full log refuses, and says so", async () => {
    await using mesh = await setup();
    await ensureTopology(mesh.connection, { ...OPTIONS, maxBytes: 20_000 });
    const kinds: string[] = [];
    for (let i = 0; i < 30; i += 1) {
      kinds.push((await mesh.publisher.publish({ subject: `task.t.${i}.e`, body: new Uint8Array(1_000) })).kind);
    }
    expect(new Set(kinds)).toEqual(new Set(["stored", "full"]));
  });

  test("a server that is not there is one clear line", async () => {
    const opened = openNats({ servers: "nats://127.0.0.1:1", name: "test", connectTimeoutMs: 500 });
    await expect(opened).rejects.toThrow(NatsUnavailableError);
    await expect(opened).rejects.toThrow("no NATS server answers at nats://127.0.0.1:1");
  });
});

test.for([
  ["2.13.9", "NATS_TOO_OLD"],
  // Like the binary of a pre-release, which is not started either.
  ["2.14.0-RC.1", "NATS_TOO_OLD"],
  ["2.14.0", "NATS_NO_JETSTREAM"],
])("a running server of version %s is refused with %s", async ([version, code]) => {
  await using closing = new AsyncDisposableStack();
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.write(`INFO ${JSON.stringify({ server_id: "played", version, max_payload: 1_000, headers: true })}\r\n`);
    socket.on("data", (data) => {
      if (String(data).includes("PING")) socket.write("PONG\r\n");
    });
    socket.once("end", () => socket.end());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  closing.defer(() => void server.close());
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  await expect(openNats({ servers: `nats://127.0.0.1:${port}`, name: "test" })).rejects.toMatchObject({ code });
});

describe("compare-and-set", () => {
  test("lets exactly one of fifty writers through", async () => {
    await using mesh = await setup();
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () =>
        mesh.publisher.publish({ subject: "task.t.race.e", body: new Uint8Array(), expected: 0 }),
      ),
    );
    expect(outcomes.filter(({ kind }) => kind === "stored")).toHaveLength(1);
    expect(outcomes.filter(({ kind }) => kind === "conflict")).toHaveLength(49);
  });

  test("a batch with one conflict stores nothing", async () => {
    await using mesh = await setup();
    const message = (id: string) => ({
      subject: dispatchSubject("t", id, "q", 5),
      body: new Uint8Array(),
      expected: 0,
      filter: dispatchFilter("t", id),
    });
    await mesh.publisher.publish({ ...message("taken"), subject: dispatchSubject("t", "taken", "other", 1) });
    const before = (await mesh.manager.streams.info(TASKS_STREAM)).state.messages;

    const outcome = await mesh.publisher.publishBatch(["a", "b", "taken", "c"].map(message));

    expect(outcome.kind).toBe("conflict");
    expect((await mesh.manager.streams.info(TASKS_STREAM)).state.messages).toBe(before);
    expect((await mesh.publisher.publishBatch(["a", "b", "c"].map(message))).kind).toBe("stored");
  });
});

describe("a queue", () => {
  const options = { leaseMs: 1_000, depthLimit: 10, maxQueues: 2 };

  test("takes exactly as much as its limit, however many come at once", async () => {
    await using mesh = await setup();
    const lanes = new Lanes(mesh, options, now);
    const submit = async (i: number): Promise<string> => {
      try {
        const room = await lanes.admit("t", "q", 1);
        const body = new Uint8Array();
        const outcome = await mesh.publisher.publish({ subject: dispatchSubject("t", `task-${i}`, "q", 5), body });
        room.settle(outcome.kind === "stored" ? 1 : 0);
        return outcome.kind;
      } catch (error) {
        return error instanceof MeshError ? error.reason : String(error);
      }
    };
    const kinds = await Promise.all(Array.from({ length: 40 }, (_, i) => submit(i)));
    expect(kinds.filter((kind) => kind === "stored")).toHaveLength(10);
    expect(kinds.filter((kind) => kind === "QUEUE_FULL")).toHaveLength(30);
  });

  test("does not refuse what there is room for because a task was stored while the depth was asked for", async () => {
    await using mesh = await setup();
    const { consumers } = mesh.manager;
    const info = consumers.info.bind(consumers);
    let ms = 0;
    const lanes = new Lanes(mesh, options, () => ms);
    const stored = async (i: number): Promise<void> => {
      const room = await lanes.admit("t", "q", 1);
      const subject = dispatchSubject("t", `task-${i}`, "q", 5);
      expect((await mesh.publisher.publish({ subject, body: new Uint8Array() })).kind).toBe("stored");
      room.settle(1);
    };
    for (let i = 1; i <= 8; i += 1) await stored(i);
    // The ninth is stored after the depth was asked for, and before it is told: it is in the answer.
    let late: Promise<void> | undefined;
    consumers.info = async (...args) => {
      late ??= stored(9);
      await late;
      return await info(...args);
    };
    ms = 1_000;
    const asking = lanes.admit("t", "q", 3).catch((error: unknown) => error);
    expect(await asking).toMatchObject({ reason: "QUEUE_FULL" });
    consumers.info = info;

    await stored(10);
    await expect(lanes.admit("t", "q", 1)).rejects.toMatchObject({ reason: "QUEUE_FULL" });
  });

  test("is not filled twice by two coordinators, each of which knows only of its own", async () => {
    await using mesh = await setup();
    let ms = 0;
    const later = (): number => (ms += 1_000);
    const both = [0, 1].map(() => new Lanes(mesh, { ...options, depthLimit: 100 }, later));
    await Promise.all(both.map((lanes) => lanes.lanesOf("t", "q")));
    let stored = 0;
    const fill = async (lanes: Lanes, first: number): Promise<void> => {
      for (let i = first; i < first + 100; i += 1) {
        const room = await lanes.admit("t", "q", 1);
        await mesh.publisher.publish({ subject: dispatchSubject("t", `task-${i}`, "q", 5), body: new Uint8Array() });
        room.settle(1);
        stored += 1;
      }
    };
    const filled = await Promise.allSettled(both.map((lanes, i) => fill(lanes, 1_000 * i)));
    expect(filled.map(({ status }) => status)).toContain("rejected");
    expect(stored).toBeLessThanOrEqual(125);
  });

  test("has room again for what was not stored, and for what others finished", async () => {
    await using mesh = await setup();
    const lanes = new Lanes(mesh, options, now);
    (await lanes.admit("t", "q", 10)).settle(0);
    const room = await lanes.admit("t", "q", 10);
    await expect(lanes.admit("t", "q", 1)).rejects.toThrow(MeshError);
    room.settle(10);
    // The broker knows of none of them: they were finished, or never written.
    await expect
      .poll(() =>
        lanes.admit("t", "q", 1).then(
          () => "taken",
          () => "refused",
        ),
      )
      .toBe("taken");
  });

  test("of too many is refused, and its lanes come back after a deletion", async () => {
    await using mesh = await setup();
    const lanes = new Lanes(mesh, options, now);
    await lanes.lanesOf("t", "one");
    await lanes.lanesOf("t", "two");
    await expect(lanes.lanesOf("t", "three")).rejects.toMatchObject({ reason: "QUEUE_LIMIT" });
    await mesh.manager.consumers.delete(TASKS_STREAM, laneConsumer("t", "one", 5));
    expect(await lanes.renew("t", "one")).toHaveLength(4);
    await mesh.manager.consumers.info(TASKS_STREAM, laneConsumer("t", "one", 5));
    // Another lease is no obstacle.
    await new Lanes(mesh, { ...options, leaseMs: 2_000 }, now).lanesOf("t", "one");
  });

  test("is asked after for the next agent, and made anew only where it is not as it was", async () => {
    await using mesh = await setup();
    const lanes = new Lanes(mesh, options, now);
    const first = await lanes.lanesOf("t", "q");
    const made: string[] = [];
    mesh.connection.subscribe("$JS.API.CONSUMER.CREATE.>", {
      callback: (_error, { subject }) => void made.push(subject),
    });
    await mesh.connection.flush();
    expect(await lanes.renew("t", "q")).toEqual(first);
    expect(made).toEqual([]);
    const [changed, deleted] = [laneConsumer("t", "q", 10), laneConsumer("t", "q", 5)];
    await mesh.manager.consumers.update(TASKS_STREAM, changed, { ack_wait: 7_000_000_000 });
    await mesh.manager.consumers.delete(TASKS_STREAM, deleted);
    made.length = 0;
    expect((await lanes.renew("t", "q")).map(({ consumer }) => consumer)).toEqual(
      first.map(({ consumer }) => consumer),
    );
    const names = new Set(made.map((subject) => subject.split(".")[5]));
    expect(names).toEqual(new Set([changed, deleted]));
    const { config } = await mesh.manager.consumers.info(TASKS_STREAM, changed);
    expect(config.ack_wait).toBe(options.leaseMs * 1_000_000);
  });
});
