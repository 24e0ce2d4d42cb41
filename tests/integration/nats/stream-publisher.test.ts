import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openNats } from "../../../lib/nats/connection.ts";
import { type StreamMessage, StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { type MeshLog, openMeshLog } from "../../support/mesh-log.ts";

let mesh: MeshLog;

beforeAll(async () => {
  mesh = await openMeshLog();
});

afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
});

const event = (id: string, expected: number): StreamMessage => ({
  subject: `task.default.${id}.e`,
  body: Buffer.from(id),
  expected,
});

describe("the publisher", () => {
  test("gives each of many messages in flight its own answer", async () => {
    const ids = Array.from({ length: 500 }, () => randomUUID());
    const outcomes = await Promise.all(ids.map((id) => mesh.publisher.publish(event(id, 0))));
    for (const [i, outcome] of outcomes.entries()) {
      const seq = outcome.kind === "stored" ? outcome.sequence : 0;
      const [stored] = await mesh.reader.read(TASKS_STREAM, { seq });
      expect(stored?.subject).toBe(`task.default.${ids[i]}.e`);
    }
  });

  test("tells a conflict from success", async () => {
    const id = randomUUID();
    const both = await Promise.all([mesh.publisher.publish(event(id, 0)), mesh.publisher.publish(event(id, 0))]);
    expect(both.map(({ kind }) => kind)).toEqual(["stored", "conflict"]);
  });

  test("knows that a message that no stream takes is not stored", async () => {
    const outcome = await mesh.publisher.publish({ subject: "nobody.listens", body: new Uint8Array() });
    expect(outcome).toEqual({ kind: "unserved" });
  });

  test("does not know what became of a message that is too large to be sent", async () => {
    const body = new Uint8Array(9 * 1024 * 1024);
    const tooLarge = { ...event(randomUUID(), 0), body };
    expect(await mesh.publisher.publish(tooLarge)).toMatchObject({ kind: "unknown" });
    expect(await mesh.publisher.publishBatch([tooLarge, event(randomUUID(), 0)])).toMatchObject({ kind: "unknown" });
  });

  test("waits for each answer as long as it is told to, and no longer", async () => {
    const connection = await openNats({ servers: mesh.nats.url, name: "test" });
    await using _ = connection;
    connection.subscribe("silent", { callback: () => undefined });
    const publisher = new StreamPublisher(connection, { timeoutMs: 50 });
    const silent = { subject: "silent", body: new Uint8Array() };
    const startedMs = performance.now();
    const first = publisher.publish(silent);
    const second = first.then(() => publisher.publish(silent));
    expect(await first).toMatchObject({ kind: "unknown", cause: { message: "no answer within 50 ms" } });
    expect(await second).toMatchObject({ kind: "unknown", cause: { message: "no answer within 50 ms" } });
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(100);
  });

  test("gives up at once when the connection is closed, before or after sending", async () => {
    const connection = await openNats({ servers: mesh.nats.url, name: "test" });
    const { promise: arrived, resolve } = Promise.withResolvers<void>();
    connection.subscribe("silent", { callback: () => resolve() });
    const publisher = new StreamPublisher(connection, { timeoutMs: 3_600_000 });
    const outcome = publisher.publish({ subject: "silent", body: new Uint8Array() });
    await arrived;
    await connection.close();
    expect(await outcome).toMatchObject({ kind: "unknown" });
    expect(await publisher.publish(event(randomUUID(), 0))).toMatchObject({ kind: "unknown" });
  });

  test("gives up in time while the broker is away", async () => {
    const lost = await openMeshLog();
    const publisher = new StreamPublisher(lost.connection, { timeoutMs: 100 });
    const disconnected = (async () => {
      for await (const status of lost.connection.status()) if (status.type === "disconnect") return;
    })();
    await lost.nats[Symbol.asyncDispose]();
    await disconnected;
    expect(await publisher.publish(event(randomUUID(), 0))).toMatchObject({ kind: "unknown" });
    await lost.connection.close();
  });

  test("gives up as soon as the connection stands again what was under way when it was lost", async () => {
    await using lost = await openMeshLog();
    const publisher = new StreamPublisher(lost.connection, { timeoutMs: 3_600_000 });
    process.kill(lost.nats.process.pid, "SIGSTOP");
    const outcome = publisher.publish(event(randomUUID(), 0));
    await lost.nats.kill();
    await lost.nats.restart();
    expect(await outcome).toMatchObject({
      kind: "unknown",
      cause: { message: "the connection or the leader was lost" },
    });
  });
});
