// A coordinator's audit log on a real nats-server: what is stored, what waits, and what happens while the broker is away or full.
import { JetStreamApiError } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { PublishOutcome } from "../../../lib/nats/stream-publisher.ts";
import { AUDIT_STREAM, auditSubject } from "../../../lib/wire/subjects.ts";
import type { AuditEvent } from "../../../services/coordinator/audit/audit-log.ts";
import type { StoredAuditLogOptions } from "../../../services/coordinator/audit/stored-audit-log.ts";
import { handClock } from "../../support/hand-clock.ts";
import { auditLogOver, type AuditBroker, entriesOf, faultsIn, openAuditBroker } from "../../support/audit-log.ts";

const ANN = { kind: "token", id: "ann", tenant: "acme" } as const;

function pauseOf(queue: string, principal: AuditEvent["principal"] = ANN): AuditEvent {
  return {
    principal,
    peer: "10.0.0.1",
    action: "queue:admin",
    method: "mycel.v1.QueueService/PauseQueue",
    resource: { type: "mycel.v1.Queue", name: queue },
    traceId: "0af7651916cd43dd8448eb211c80319c",
    requestId: "r-1",
  };
}

const REFUSED: AuditEvent = {
  principal: ANN,
  peer: "10.0.0.1",
  action: "key:admin",
  method: "mycel.v1.KeyService/CreateKey",
  refusal: "ACTION_NOT_ALLOWED",
};

function reasonOf(error: unknown): string {
  return error instanceof MeshError ? error.reason : String(error);
}

/** The stream with answers of one's own to some appends. */
function withAppends(
  { stream }: AuditBroker,
  append: (really: () => Promise<PublishOutcome>, n: number) => Promise<PublishOutcome>,
): StoredAuditLogOptions["stream"] {
  let n = 0;
  return {
    lastOfTenant: (tenant) => stream.lastOfTenant(tenant),
    lastOfChain: (chain) => stream.lastOfChain(chain),
    state: () => stream.state(),
    append: (entries, expected) => append(() => stream.append(entries, expected), n++),
  };
}

test("a change is stored before its call may begin, with who, what, on what and the decision", async () => {
  await using broker = await openAuditBroker();
  await using log = auditLogOver(broker.stream);
  await log.record(pauseOf("echo"));
  const [entry, ...more] = await entriesOf(broker.stream, "acme");
  expect(more).toEqual([]);
  expect(entry).toMatchObject({
    tenant: "acme",
    number: 1,
    principal: "token:ann",
    peerAddress: "10.0.0.1",
    action: "queue:admin",
    method: "mycel.v1.QueueService/PauseQueue",
    resourceType: "mycel.v1.Queue",
    resourceName: "echo",
    decision: 1,
    reason: "",
    count: 1,
    traceId: "0af7651916cd43dd8448eb211c80319c",
    requestId: "r-1",
  });
  expect(entry?.writer).toMatch(/^host_example-4711-\w{8}$/);
});

test("thousands of changes at once are stored once each, in few messages and in order", async () => {
  await using broker = await openAuditBroker();
  await using log = auditLogOver(broker.stream);
  await Promise.all(Array.from({ length: 3_000 }, (_, i) => log.record(pauseOf(`q${i}`))!));
  const entries = await entriesOf(broker.stream, "acme");
  expect(entries.map(({ resourceName }) => resourceName)).toEqual(Array.from({ length: 3_000 }, (_, i) => `q${i}`));
  expect(faultsIn(entries)).toEqual([]);
  const { messages } = (await broker.parts.manager.streams.info(AUDIT_STREAM)).state;
  expect(messages).toBeLessThan(100);
});

test("every coordinator writes a chain of its own, behind what it found", async () => {
  await using broker = await openAuditBroker();
  const logs = Array.from({ length: 5 }, () => auditLogOver(broker.stream));
  for (let round = 0; round < 4; round += 1) {
    await Promise.all(logs.map((log, i) => log.record(pauseOf(`q${i}-${round}`))!));
  }
  await Promise.all(logs.map((log) => log[Symbol.asyncDispose]()));
  const entries = await entriesOf(broker.stream, "acme");
  expect(entries).toHaveLength(20);
  expect(faultsIn(entries)).toEqual([]);
  expect(new Set(entries.map(({ writer }) => writer)).size).toBe(5);
  // Only the first of all begins behind nothing.
  expect(entries.filter(({ previous }) => previous === undefined)).toHaveLength(1);
});

test("each tenant has a log of its own, and starts and stops of coordinators belong to none", async () => {
  await using broker = await openAuditBroker();
  const log = auditLogOver(broker.stream);
  await log.record(pauseOf("a"));
  await log.record(pauseOf("b", { ...ANN, tenant: "other" }));
  log.note({ method: "mycel.v1.AgentService/SubmitTask", peer: "10.9.9.9", refusal: "CREDENTIAL_INVALID: expired" });
  await log[Symbol.asyncDispose]();
  expect((await entriesOf(broker.stream, "acme")).map(({ resourceName }) => resourceName)).toEqual(["a"]);
  expect((await entriesOf(broker.stream, "other")).map(({ resourceName }) => resourceName)).toEqual(["b"]);
  const own = await entriesOf(broker.stream, "");
  expect(own.map(({ method }) => method)).toEqual([
    "coordinator.started",
    "mycel.v1.AgentService/SubmitTask",
    "coordinator.stopped",
  ]);
  expect(faultsIn(own)).toEqual([]);
});

test("what a caller made up is cut and made text, so that it is read as it was hashed", async () => {
  await using broker = await openAuditBroker();
  await using log = auditLogOver(broker.stream);
  await log.record(pauseOf(`\ud800${"x".repeat(100_000)}`));
  const entries = await entriesOf(broker.stream, "acme");
  expect(entries[0]?.resourceName).toHaveLength(256);
  expect(faultsIn(entries)).toEqual([]);
});

describe("what the broker answers:", () => {
  test("an answer that got lost leads to no second entry", async () => {
    await using broker = await openAuditBroker();
    const lossy = withAppends(broker, async (really, n) => {
      const outcome = await really();
      return n % 2 === 0 ? { kind: "unknown", cause: new Error("lost") } : outcome;
    });
    await using log = auditLogOver(lossy, { level: "changes" });
    for (let i = 0; i < 6; i += 1) await log.record(pauseOf(`q${i}`));
    const entries = await entriesOf(broker.stream, "acme");
    expect(entries.map(({ resourceName }) => resourceName)).toEqual(["q0", "q1", "q2", "q3", "q4", "q5"]);
    expect(faultsIn(entries)).toEqual([]);
  });

  test("a message that got lost is sent again", async () => {
    await using broker = await openAuditBroker();
    const lossy = withAppends(broker, async (really, n) =>
      n % 2 === 0 ? { kind: "unknown", cause: new Error("lost") } : await really(),
    );
    await using log = auditLogOver(lossy);
    for (let i = 0; i < 4; i += 1) await log.record(pauseOf(`q${i}`));
    const entries = await entriesOf(broker.stream, "acme");
    expect(entries.map(({ resourceName }) => resourceName)).toEqual(["q0", "q1", "q2", "q3"]);
    expect(faultsIn(entries)).toEqual([]);
  });

  test("a message that arrives after it was given up is not stored beside its repetition", async () => {
    await using broker = await openAuditBroker();
    const late: (() => Promise<PublishOutcome>)[] = [];
    const slow = withAppends(broker, async (really, n) => {
      if (n !== 2) return await really();
      late.push(really);
      return { kind: "unknown", cause: new Error("slow") };
    });
    // Number 0 is the start of the coordinator, in the log of no tenant.
    await using log = auditLogOver(slow);
    await log.record(pauseOf("first"));
    await log.record(pauseOf("second"));
    expect((await late[0]!()).kind).toBe("conflict");
    const entries = await entriesOf(broker.stream, "acme");
    expect(entries.map(({ resourceName }) => resourceName)).toEqual(["first", "second"]);
  });

  test("a change whose entry can't be stored is refused, and goes on once the broker is back", async () => {
    await using broker = await openAuditBroker();
    await using log = auditLogOver(broker.stream, { waitMs: 300 });
    await log.record(pauseOf("before"));
    await broker.nats.kill();
    const refused = await log.record(pauseOf("away"))!.catch(reasonOf);
    expect(refused).toBe("AUDIT_UNAVAILABLE");
    // A refusal does not wait, and is not lost.
    log.note(REFUSED);
    await broker.nats.restart();
    await expect.poll(async () => (await entriesOf(broker.stream, "acme").catch(() => [])).length).toBeGreaterThan(1);
    await expect
      .poll(() => log.record(pauseOf("after"))!.then(() => "stored", reasonOf), { timeout: 10_000 })
      .toBe("stored");
    const entries = await entriesOf(broker.stream, "acme");
    expect(faultsIn(entries)).toEqual([]);
    expect(entries.map(({ method }) => method)).toContain(REFUSED.method);
    expect(entries.at(-1)?.resourceName).toBe("after");
  });

  test("while the log is full changes are refused, and what nobody waited for is stored when there is room", async () => {
    await using broker = await openAuditBroker();
    let full = true;
    const filling = withAppends(broker, async (really) => (full ? { kind: "full" } : await really()));
    await using log = auditLogOver(filling);
    log.note({ principal: ANN, method: "agent.credential.issued" });
    expect(await log.record(pauseOf("x"))!.catch(reasonOf)).toBe("STORAGE_FULL");
    full = false;
    await expect
      .poll(async () => (await entriesOf(broker.stream, "acme")).map(({ method }) => method), { timeout: 10_000 })
      .toEqual(["agent.credential.issued"]);
  });

  test("a log that is really full takes nothing, and loses nothing that it has", async () => {
    await using broker = await openAuditBroker({ auditMaxBytes: 4_000 });
    await using log = auditLogOver(broker.stream);
    const outcomes: string[] = [];
    for (let i = 0; i < 20 && outcomes.at(-1) !== "STORAGE_FULL"; i += 1) {
      outcomes.push(await log.record(pauseOf(`q${i}`))!.then(() => "stored", reasonOf));
    }
    expect(outcomes.at(-1)).toBe("STORAGE_FULL");
    const entries = await entriesOf(broker.stream, "acme");
    expect(entries.map(({ resourceName }) => resourceName)).toEqual(outcomes.slice(0, -1).map((_, i) => `q${i}`));
  });
});

test("somebody else's message in a coordinator's chain is noticed, and the coordinator goes on in another chain", async () => {
  await using broker = await openAuditBroker();
  await using log = auditLogOver(broker.stream);
  await log.record(pauseOf("a"));
  const writer = (await entriesOf(broker.stream, "acme"))[0]!.writer;
  broker.parts.connection.publish(auditSubject("acme", writer), "garbage");
  await log.record(pauseOf("b"));
  const entries = await entriesOf(broker.stream, "acme");
  expect(entries.map(({ resourceName }) => resourceName)).toEqual(["a", "b"]);
  expect(entries[1]?.writer).not.toBe(writer);
  expect(faultsIn(entries).map(({ kind }) => kind)).toEqual(["unanchored"]);
});

test("nothing that is stored can be deleted, purged or overwritten, and the stream can't be told otherwise", async () => {
  await using broker = await openAuditBroker();
  await using log = auditLogOver(broker.stream);
  await log.record(pauseOf("a"));
  const { streams } = broker.parts.manager;
  await expect(streams.deleteMessage(AUDIT_STREAM, 1)).rejects.toThrow(JetStreamApiError);
  await expect(streams.purge(AUDIT_STREAM)).rejects.toThrow(JetStreamApiError);
  for (const setting of [{ deny_delete: false }, { deny_purge: false }]) {
    await expect(streams.update(AUDIT_STREAM, setting)).rejects.toThrow(/deny/);
  }
  expect(await entriesOf(broker.stream, "acme")).toHaveLength(1);
});

describe("the level", () => {
  const events: readonly [string, AuditEvent][] = [
    ["change", pauseOf("q")],
    ["submission", { principal: ANN, action: "task:submit", method: "SubmitTask" }],
    ["upload", { principal: ANN, action: "blob:write", method: "UploadBlob" }],
    ["read", { principal: ANN, action: "task:read", method: "GetTask" }],
    ["look", { principal: ANN, action: "key:admin", method: "ListKeys", looks: true }],
  ];
  const levels = [
    ["off", []],
    ["refusals", ["refusal"]],
    ["changes", ["change", "credential", "refusal"]],
    ["all", ["change", "submission", "upload", "read", "look", "credential", "refusal"]],
  ] as const;

  test.for(levels)("%s records %j", async ([level, recorded]) => {
    await using broker = await openAuditBroker();
    const log = auditLogOver(broker.stream, { level });
    for (const [name, event] of events) {
      expect(log.wants(event.action!, event.looks === true), name).toBe((recorded as readonly string[]).includes(name));
      await log.record({ ...event, requestId: name });
    }
    log.note({ principal: ANN, method: "agent.credential.issued", requestId: "credential" });
    log.note({ ...REFUSED, requestId: "refusal" });
    await log[Symbol.asyncDispose]();
    expect((await entriesOf(broker.stream, "acme")).map(({ requestId }) => requestId)).toEqual(recorded);
  });

  test("only changes are waited for", async () => {
    await using broker = await openAuditBroker();
    await using log = auditLogOver(broker.stream, { level: "all" });
    for (const [name, event] of events) {
      const waits = log.record(event);
      expect(waits !== undefined, name).toBe(name === "change");
      await waits;
    }
  });
});

test("what has no room while the broker is away is counted, and the count is told", async () => {
  await using broker = await openAuditBroker();
  await using log = auditLogOver(broker.stream, { level: "all", maxPending: 10, waitMs: 100 });
  await log.record(pauseOf("before"));
  await broker.nats.kill();
  for (let i = 0; i < 1_000; i += 1) void log.record({ principal: ANN, action: "task:read", method: `Get${i}` });
  expect(await log.record(pauseOf("away"))!.catch(reasonOf)).toBe("AUDIT_UNAVAILABLE");
  await broker.nats.restart();
  const counted = async (): Promise<number> => {
    const reads = (await entriesOf(broker.stream, "acme")).filter(({ method }) => method.startsWith("Get"));
    const lost = (await entriesOf(broker.stream, "")).filter(({ method }) => method === "audit.lost");
    return reads.length + lost.reduce((sum, { count }) => sum + count, 0);
  };
  await expect.poll(() => counted().catch(() => 0), { timeout: 15_000 }).toBe(1_000);
  const entries = await entriesOf(broker.stream, "acme");
  expect(entries.length).toBeLessThan(20);
  expect(faultsIn(entries)).toEqual([]);
});

test("a log that fills up keeps its rest for administration, and says later what it left out", async () => {
  await using broker = await openAuditBroker();
  let fill = 0;
  const clock = handClock();
  const state = async () => ({ ...(await broker.stream.state()), bytes: fill, maxBytes: 100 });
  await using log = auditLogOver({ ...withAppends(broker, (really) => really()), state }, { clock });
  const cancel: AuditEvent = { principal: ANN, action: "task:cancel", method: "Cancel" };
  /** What is stored of one of each once the log is so full. */
  const storedAt = async (bytes: number): Promise<string[]> => {
    fill = bytes;
    clock.advance(60_000);
    // The first looks how full it is, the others know.
    await log.record(pauseOf("look"));
    log.note({ principal: ANN, method: "look" });
    await broker.stream.state();
    const before = (await entriesOf(broker.stream, "acme")).length;
    log.note({ ...REFUSED, requestId: `${bytes}`, method: `refused at ${bytes}` });
    void log.record(cancel);
    log.note({ ...pauseOf("away"), method: "Revoke" });
    await log.record(pauseOf("change"));
    return (await entriesOf(broker.stream, "acme")).slice(before).map(({ method }) => method);
  };
  expect(await storedAt(85)).toEqual(["Cancel", "Revoke", "mycel.v1.QueueService/PauseQueue"]);
  expect(await storedAt(95)).toEqual(["Revoke", "mycel.v1.QueueService/PauseQueue"]);
  expect(await storedAt(10)).toHaveLength(4);
  await expect
    .poll(async () => (await entriesOf(broker.stream, "")).find(({ method }) => method === "audit.lost"))
    .toMatchObject({ count: 3 });
});
