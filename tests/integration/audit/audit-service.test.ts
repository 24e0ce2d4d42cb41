// The audit log as callers see it over a real coordinator: what calls leave there, pages in both orders, filters and watches.
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { nuid } from "@nats-io/nats-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { type AuditEntry, AuditDecision } from "../../../gen/mycel/v1/audit_pb.ts";
import { AuditService, type ListAuditEntriesRequest } from "../../../gen/mycel/v1/audit_service_pb.ts";
import { QueueService } from "../../../gen/mycel/v1/queue_service_pb.ts";
import { AuditVerifier } from "../../../lib/wire/audit-verifier.ts";
import { auditEntryIn } from "../../../lib/wire/audit-codec.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

let mesh: TestMesh;
let audit: Client<typeof AuditService>;
let queues: Client<typeof QueueService>;
let agents: Client<typeof AgentService>;
beforeAll(async () => {
  mesh = await openMesh({ coordinators: 2 });
  const transport = createGrpcTransport({ baseUrl: mesh.urls[0]! });
  audit = createClient(AuditService, transport);
  queues = createClient(QueueService, transport);
  agents = createClient(AgentService, transport);
});
afterAll(() => mesh[Symbol.asyncDispose]());

/** Asks for a change that is found again by its queue: that it is allowed is recorded, whatever becomes of it. */
async function pauseQueue(queue: string, client: Client<typeof QueueService> = queues): Promise<void> {
  const outcome = await client
    .pauseQueue({ queue, reason: "secret-reason" })
    .catch((error: unknown) => ConnectError.from(error));
  expect(outcome).toMatchObject({ code: Code.NotFound });
}

type Asked = Partial<Omit<ListAuditEntriesRequest, "$typeName" | "$unknown" | "filter">> & {
  readonly filter?: Parameters<typeof audit.listAuditEntries>[0]["filter"];
};

async function all({ filter, ...request }: Asked, pageSize: number): Promise<AuditEntry[]> {
  const found: AuditEntry[] = [];
  for (let pageToken = "", first = true; first || pageToken !== ""; first = false) {
    const asked = { ...request, pageSize, pageToken, ...(filter === undefined ? {} : { filter }) };
    const page = await audit.listAuditEntries(asked);
    expect(page.entries.length).toBeLessThanOrEqual(pageSize);
    found.push(...page.entries);
    pageToken = page.nextPageToken;
  }
  return found;
}

const namesOf = (entries: readonly AuditEntry[]): string[] => entries.map(({ resourceName }) => resourceName);

test.for(["gRPC", "Connect"])(
  "a change over %s leaves who, from where, what, on what and the trace",
  async (protocol) => {
    const options = { baseUrl: mesh.urls[0]!, httpVersion: "1.1" as const };
    const transport = protocol === "gRPC" ? createGrpcTransport(options) : createConnectTransport(options);
    const queue = `by-${protocol}`;
    const headers = { traceparent: TRACEPARENT, "x-request-id": "r-17" };
    const client = createClient(QueueService, transport);
    await expect(client.pauseQueue({ queue, reason: "secret-reason" }, { headers })).rejects.toThrow(/no queue/);
    const { entries } = await audit.listAuditEntries({ filter: { resourceName: queue } });
    expect(entries).toHaveLength(1);
    expect(entries[0]).toMatchObject({
      tenant: "default",
      principal: "open",
      peerAddress: "127.0.0.1",
      action: "queue:admin",
      method: "mycel.v1.QueueService/PauseQueue",
      resourceType: "mycel.v1.Queue",
      resourceName: queue,
      decision: AuditDecision.ALLOWED,
      count: 1n,
      traceId: "0af7651916cd43dd8448eb211c80319c",
      requestId: "r-17",
    });
    expect(
      JSON.stringify(entries, (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value)),
    ).not.toContain("secret");
  },
);

test("submissions and reads leave nothing by default", async () => {
  const { taskId } = await agents.submitTask({ type: "t", labels: { a: "b" } });
  await agents.getTaskStatus({ taskId });
  await agents.getTask({ taskId });
  await agents.listAgents({});
  await agents.cancelTask({ taskId });
  const { entries } = await audit.listAuditEntries({ filter: { resourceName: taskId } });
  expect(entries.map(({ method }) => method)).toEqual(["mycel.v1.AgentService/CancelTask"]);
  const reads = await audit.listAuditEntries({ filter: { actions: ["*:read", "task:submit"] } });
  expect(reads.entries).toEqual([]);
});

describe("pages", () => {
  const expected = Array.from({ length: 30 }, (_, i) => `page-${i}`);
  beforeAll(async () => {
    const other = createClient(QueueService, createGrpcTransport({ baseUrl: mesh.urls[1]! }));
    for (const [i, queue] of expected.entries()) await pauseQueue(queue, i % 2 === 0 ? queues : other);
    // At once, so that several entries share a message.
    await Promise.all(Array.from({ length: 20 }, () => pauseQueue("together")));
  });

  test.for([1, 7, 100])("of %i hold everything once, in either order", async (pageSize) => {
    const newest = await all({}, pageSize);
    const oldest = await all({ oldestFirst: true }, pageSize);
    expect(oldest.map(({ hash }) => hash)).toEqual(newest.map(({ hash }) => hash).toReversed());
    expect(new Set(oldest.map(({ hash }) => hash)).size).toBe(oldest.length);
    expect(namesOf(oldest).filter((name) => name.startsWith("page-"))).toEqual(expected);
    expect(namesOf(oldest).filter((name) => name === "together")).toHaveLength(20);
    const verifier = new AuditVerifier("default", -Infinity);
    for (const entry of oldest) verifier.add(auditEntryIn(entry));
    expect(verifier.finish()).toEqual([]);
    expect(verifier.chains).toBe(2);
  });

  test("have what a filter says and nothing else", async () => {
    const entries = await all({ oldestFirst: true }, 1_000);
    const from = entries.findIndex(({ resourceName }) => resourceName === "page-10");
    const until = entries.findIndex(({ resourceName }) => resourceName === "page-20");
    const time = { startTime: entries[from]!.time!, endTime: entries[until]!.time! };
    for (const oldestFirst of [true, false]) {
      const found = await all({ filter: time, oldestFirst }, 3);
      const names = new Set(namesOf(found));
      expect(names.has("page-10")).toBe(true);
      expect(names.has("page-15")).toBe(true);
      expect(names.has("page-25")).toBe(false);
    }
    const ofQueue = await all({ filter: { resourceType: "mycel.v1.Queue", resourceName: "page-3" } }, 3);
    expect(namesOf(ofQueue)).toEqual(["page-3"]);
    expect(await all({ filter: { decision: AuditDecision.REFUSED } }, 3)).toEqual([]);
    expect(await all({ filter: { principals: ["token:*"] } }, 3)).toEqual([]);
    expect((await all({ filter: { principals: ["op*"], actions: ["queue:*"] } }, 100)).length).toBeGreaterThan(49);
    expect(await all({ filter: { startTime: timestampFromMs(Date.now() + 60_000) }, oldestFirst: true }, 3)).toEqual(
      [],
    );
    expect(await all({ filter: { endTime: timestampFromMs(1_000) }, oldestFirst: true }, 3)).toEqual([]);
  });

  test("refuse the token of another request", async () => {
    const { nextPageToken } = await audit.listAuditEntries({ pageSize: 1 });
    for (const other of [{ oldestFirst: true }, { mesh: true }, { filter: { actions: ["x"] } }]) {
      const error = await audit
        .listAuditEntries({ ...other, pageToken: nextPageToken })
        .catch((error: unknown) => ConnectError.from(error));
      expect((error as ConnectError).code).toBe(Code.InvalidArgument);
    }
  });

  test("say from when on everything is kept", async () => {
    const { keptFromTime } = await audit.listAuditEntries({});
    const days = (Date.now() / 1_000 - Number(keptFromTime!.seconds)) / 86_400;
    expect(days).toBeCloseTo(365, 1);
  });
});

describe("a watch", () => {
  test("brings the newest first, then what comes, from every coordinator", async () => {
    await pauseQueue("before");
    const left = new AbortController();
    const watch = audit.watchAudit({ newest: 1 }, { signal: left.signal })[Symbol.asyncIterator]();
    expect(namesOf((await watch.next()).value!.entries)).toEqual(["before"]);
    const other = createClient(QueueService, createGrpcTransport({ baseUrl: mesh.urls[1]! }));
    await pauseQueue("here");
    await pauseQueue("there", other);
    const found: string[] = [];
    while (found.length < 2) found.push(...namesOf((await watch.next()).value!.entries));
    expect(found).toEqual(["here", "there"]);
    left.abort();
  });

  test("goes on behind its cursor without gaps or repetitions", async () => {
    const left = new AbortController();
    const [first] = await take(audit.watchAudit({}, { signal: left.signal }), 1);
    const names = Array.from({ length: 10 }, (_, i) => `again-${i}-${nuid.next()}`);
    for (const name of names) await pauseQueue(name);
    let { cursor } = first!;
    const found: string[] = [];
    while (found.length < names.length) {
      const left = new AbortController();
      // The first message says hello, the second brings entries.
      const messages = await take(audit.watchAudit({ cursor }, { signal: left.signal }), 2);
      left.abort();
      found.push(...messages.flatMap(({ entries }) => namesOf(entries)));
      cursor = messages.at(-1)!.cursor;
    }
    left.abort();
    expect(found).toEqual(names);
  });

  test("keeps to its filter", async () => {
    const left = new AbortController();
    const added = audit.watchAudit({ filter: { resourceName: "wanted" } }, { signal: left.signal });
    const watch = added[Symbol.asyncIterator]();
    await watch.next();
    await pauseQueue("unwanted");
    await pauseQueue("wanted");
    expect(namesOf((await watch.next()).value!.entries)).toEqual(["wanted"]);
    left.abort();
  });
});

test("what belongs to no tenant is shown to the operator's tenant, and the starts of coordinators are there", async () => {
  const { entries } = await audit.listAuditEntries({ mesh: true });
  expect(entries.filter(({ method }) => method === "coordinator.started")).toHaveLength(2);
  expect(new Set(entries.map(({ tenant }) => tenant))).toEqual(new Set([""]));
});

test("what belongs to no tenant is for nobody else", async () => {
  await using other = await openMesh({ env: { MYCEL_AUDIT_OPERATOR_TENANT: "operators" } });
  const client = createClient(AuditService, createGrpcTransport({ baseUrl: other.urls[0]! }));
  const error = (await client
    .listAuditEntries({ mesh: true })
    .catch((error: unknown) => ConnectError.from(error))) as ConnectError;
  expect([error.code, readDetails(error).reason]).toEqual([Code.PermissionDenied, "ACTION_NOT_ALLOWED"]);
  await expect(take(client.watchAudit({ mesh: true }), 1)).rejects.toThrow(/operator's tenant/);
  // And that it was asked for stands in the log of whoever asked.
  await expect
    .poll(async () => (await client.listAuditEntries({})).entries.map(({ reason }) => reason))
    .toEqual(expect.arrayContaining(["ACTION_NOT_ALLOWED"]));
});

async function take<T>(stream: AsyncIterable<T>, count: number): Promise<T[]> {
  const found: T[] = [];
  for await (const message of stream) {
    found.push(message);
    if (found.length === count) break;
  }
  return found;
}
