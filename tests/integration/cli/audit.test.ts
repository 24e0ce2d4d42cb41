// `mycel audit` against a real mesh: what it prints, and that whoever tampers with what is stored is noticed and named.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { QueueService } from "../../../gen/mycel/v1/queue_service_pb.ts";
import { hashOf } from "../../../lib/wire/audit-chain.ts";
import { auditEntryIn, decodeAuditEntries, encodeAuditEntries } from "../../../lib/wire/audit-codec.ts";
import { AUDIT_STREAM, AUDIT_SUBJECTS } from "../../../lib/wire/subjects.ts";
import { type CliResult, runCli, startCli } from "../../support/cli.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

let mesh: TestMesh;
let url: string;
let dir: string;
let connection: NatsConnection;
let manager: JetStreamManager;
beforeAll(async () => {
  mesh = await openMesh();
  url = mesh.urls[0]!;
  dir = await mkdtemp(join(tmpdir(), "mycel-audit-"));
  connection = await connect(mesh.nats.access);
  manager = await jetstreamManager(connection);
});
afterAll(async () => {
  await connection.close();
  await mesh[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

async function pauseQueue(queue: string): Promise<void> {
  const queues = createClient(QueueService, createGrpcTransport({ baseUrl: mesh.urls.at(-1)! }));
  await expect(queues.pauseQueue({ queue })).rejects.toThrow(/no queue/);
}

async function audit(...args: string[]): Promise<CliResult> {
  return await runCli(url, ["audit", ...args]);
}

interface Stored {
  readonly subject: string;
  readonly body: Uint8Array;
}

async function stored(): Promise<Stored[]> {
  const { state } = await manager.streams.info(AUDIT_STREAM);
  const found: Stored[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
    const { subject, data } = (await manager.streams.getMessage(AUDIT_STREAM, { seq }))!;
    found.push({ subject, body: data });
  }
  return found;
}

/** What somebody can do who has all rights in the account: put another stream in the place of the log, one that can be changed. */
async function unprotect(messages: readonly Stored[]): Promise<void> {
  const { config } = await manager.streams.info(AUDIT_STREAM);
  const { max_age, republish } = config;
  await manager.streams.delete(AUDIT_STREAM);
  const unprotected = { name: AUDIT_STREAM, subjects: [AUDIT_SUBJECTS], allow_direct: true, max_age };
  await manager.streams.add(republish === undefined ? unprotected : { ...unprotected, republish });
  await replaceBy(messages);
}

async function replaceBy(messages: readonly Stored[]): Promise<void> {
  await manager.streams.purge(AUDIT_STREAM);
  const js = jetstream(connection);
  for (const { subject, body } of messages) await js.publish(subject, body);
}

describe("tail", () => {
  beforeAll(async () => {
    for (const queue of ["one", "two", "three"]) await pauseQueue(queue);
  });

  test("prints the newest entries, the oldest of them first", async () => {
    const { code, stdout } = await audit("tail", "-n", "2");
    expect(code).toBe(0);
    const lines = stdout.trim().split("\n");
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(
      /^\d{4}-\d\d-\d\dT\S+Z  allowed  open  QueueService\/PauseQueue  Queue two  from 127\.0\.0\.1$/,
    );
    expect(lines[1]).toContain("Queue three");
  });

  test("prints JSON, filtered", async () => {
    const { stdout } = await audit(
      "tail",
      "--json",
      "--name",
      "one",
      "--action",
      "queue:*",
      "--since",
      "1h",
      "--allowed",
    );
    const entries = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(entries).toHaveLength(1);
    expect(entries[0]).toMatchObject({
      resourceName: "one",
      decision: "AUDIT_DECISION_ALLOWED",
      number: expect.any(String),
    });
    expect((await audit("tail", "--refused")).stdout).toBe("");
  });

  test("prints what belongs to no tenant", async () => {
    expect((await audit("tail", "--mesh")).stdout).toMatch(
      /allowed {2}- {2}coordinator\.started {2}Coordinator \S+\n$/,
    );
  });

  test("follows, over a restart of the coordinator too, without gaps or repetitions", async () => {
    const other = await mesh.addCoordinator();
    const run = startCli(`${url},${other}`, ["audit", "tail", "-n", "1", "--follow", "--json"]);
    await run.until("three");
    await pauseQueue("four");
    await run.until("four");
    await mesh.coordinators[0]![Symbol.asyncDispose]();
    await pauseQueue("five");
    await run.until("five");
    run.process.kill("SIGINT");
    const { code, stdout } = await run.done;
    expect(code).toBe(130);
    const names = stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { resourceName: string }).resourceName);
    expect(names).toEqual(["three", "four", "five"]);
    url = other;
  });

  test("says in one line what is wrong with its options", async () => {
    for (const args of [
      ["--refused", "--allowed"],
      ["-n", "many"],
      ["--since", "soon"],
    ]) {
      const { code, stderr } = await audit("tail", ...args);
      expect([args, code, stderr.trim().split("\n").length]).toEqual([args, 2, 1]);
    }
  });
});

describe("verify", () => {
  let original: Stored[];
  beforeAll(async () => {
    for (let i = 0; i < 6; i += 1) await pauseQueue(`q${i}`);
    original = await stored();
    await unprotect(original);
  });
  beforeEach(async () => {
    await replaceBy(original);
  });

  /** The messages of the tenant's log by their places among all. */
  const own = (): number[] => original.flatMap(({ subject }, i) => (subject.startsWith("audit.default.") ? [i] : []));

  test("finds a log that is whole, and says how much it saw", async () => {
    const { code, stdout, stderr } = await audit("verify");
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^tenant default: \d+ entries in \d chains?, whole\nwhat belongs to no tenant: \d entr(?:y|ies) in \d chains?, whole\n$/,
    );
  });

  test("names an entry that was altered", async () => {
    const [, at] = own();
    const [entry] = decodeAuditEntries(original[at!]!.body)!.map(auditEntryIn);
    const body = encodeAuditEntries([{ ...entry!, principal: "token:somebody-else" }]);
    await replaceBy(original.with(at!, { ...original[at!]!, body }));
    const { code, stdout, stderr } = await audit("verify");
    expect(code).toBe(1);
    expect(stdout).toContain(`altered  ${entry!.writer} number ${entry!.number} is not what its hash says`);
    expect(stderr).toBe("mycel: the audit log is not whole\n");
  });

  test("notices one that was altered and hashed anew", async () => {
    const [, at] = own();
    const [entry] = decodeAuditEntries(original[at!]!.body)!.map(auditEntryIn);
    const forged = { ...entry!, principal: "token:somebody-else" };
    const body = encodeAuditEntries([{ ...forged, hash: hashOf(forged) }]);
    await replaceBy(original.with(at!, { ...original[at!]!, body }));
    const { code, stdout } = await audit("verify");
    expect(code).toBe(1);
    expect(stdout).toContain("unlinked");
  });

  test("notices one that is missing, one that was moved, and one that comes twice", async () => {
    const [, a, b] = own();
    for (const messages of [
      original.toSpliced(a!, 1),
      original.with(a!, original[b!]!).with(b!, original[a!]!),
      original.toSpliced(b!, 0, original[a!]!),
    ]) {
      await replaceBy(messages);
      const { code, stdout } = await audit("verify");
      expect(code).toBe(1);
      expect(stdout).toMatch(/missing|moved/);
      expect(stdout).toContain("not whole");
    }
  });

  test("notices a log that begins later than it may", async () => {
    await replaceBy(original.slice(own()[2]));
    const { code, stdout } = await audit("verify", "--json");
    expect(code).toBe(1);
    const { whole, logs } = JSON.parse(stdout) as { whole: boolean; logs: { faults: { kind: string }[] }[] };
    expect(whole).toBe(false);
    expect(logs[0]!.faults.map(({ kind }) => kind)).toContain("missing");
  });

  test("notices with a checkpoint that the end was cut off, and keeps the checkpoint then", async () => {
    const file = join(dir, "checkpoint");
    expect((await audit("verify", "--checkpoint", file)).code).toBe(0);
    const kept = await readFile(file, "utf8");
    await replaceBy(original.slice(0, -1));
    expect((await audit("verify")).code).toBe(0);
    const cut = await audit("verify", "--checkpoint", file);
    expect(cut.code).toBe(1);
    expect(cut.stdout).toContain("truncated");
    expect(await readFile(file, "utf8")).toBe(kept);
    // Cut off altogether.
    await replaceBy([]);
    expect((await audit("verify", "--checkpoint", file)).code).toBe(1);
  });

  test("goes on from its checkpoint as the log grows", async () => {
    const file = join(dir, "growing");
    await replaceBy(original.slice(0, -2));
    const whole = { code: 0, stderr: "" };
    expect(await audit("verify", "--checkpoint", file)).toMatchObject(whole);
    await replaceBy(original);
    expect(await audit("verify", "--checkpoint", file)).toMatchObject(whole);
    await replaceBy(original.slice(0, -2));
    expect((await audit("verify", "--checkpoint", file)).code).toBe(1);
  });

  test("says in one line that a file is no checkpoint", async () => {
    const file = join(dir, "nonsense");
    for (const text of ["", "{}", '{"form":"mycel.audit.checkpoint.v1","tenant":{"tenant":1}}']) {
      await writeFile(file, text);
      const { code, stderr } = await audit("verify", "--checkpoint", file);
      expect([code, stderr]).toEqual([2, `mycel: ${file} is no checkpoint of mycel audit verify\n`]);
    }
    const { code, stderr } = await audit("verify", "--checkpoint", dir);
    expect([code, stderr.split("\n").length]).toEqual([2, 2]);
  });
});
