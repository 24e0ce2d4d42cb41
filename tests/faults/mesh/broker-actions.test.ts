// What is done to a broker behind the mesh's back, and readers that stand still.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import { deleteConsumers, fillStore, freeStore } from "./broker-actions.ts";
import { type FaultMesh, openFaultMesh } from "./fault-mesh.ts";
import { openSlowReader } from "./slow-reader.ts";
import { canMountDisks, openSmallDisk } from "./small-disk.ts";

const MIB = 1024 * 1024;
let mesh: FaultMesh;
let client: MycelClient;

beforeAll(async () => {
  mesh = await openFaultMesh({
    coordinators: 1,
    agents: 1,
    brokerSettings: { maxFileBytes: 80 * MIB },
  });
  client = createClient({ urls: mesh.urls });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

test("consumers that match are deleted, and tasks go on when the mesh has made them again", async () => {
  await client.run("quick").result();
  const gone = await deleteConsumers(mesh.natsUrl, TASKS_STREAM, (name) => name.includes("=quick="));
  expect(gone).toHaveLength(4);
  expect(await deleteConsumers(mesh.natsUrl, TASKS_STREAM, (name) => name === "none")).toEqual([]);
  // Whether an attempt was made before its consumer was, nobody can know: it may be counted.
  expect(await client.run("quick").result()).toMatchObject({ agentId: "agent-1" });
});

test("a store that is full takes no task until room is given back", async () => {
  await using hasty = createClient({ urls: mesh.urls, retry: { attempts: 1 } });
  expect(await fillStore(mesh.natsUrl)).toBeGreaterThan(20 * MIB);
  await expect(hasty.submit("quick")).rejects.toMatchObject({ reason: "STORAGE_FULL" });
  await freeStore(mesh.natsUrl);
  expect(await client.run("quick").result()).toMatchObject({ attempt: 1 });
});

test("a reader that stands still gets everything once, in order, when it reads on", async () => {
  const chunks = 60;
  await client.submit("stream", { chunks, bytes: 10_000 }, { taskId: "slow" });
  using reader = await openSlowReader({ url: mesh.urls[0]!, taskId: "slow" });
  const first = await reader.read(2);
  // Far more than its window holds has been written by now.
  expect((await client.outcome("slow")).state).toBe("completed");
  const all = [...first, ...(await reader.rest())];
  const sequences = all.flatMap(({ kind, sequence }) => (kind.case === "output" ? [Number(sequence)] : []));
  expect(sequences).toHaveLength(chunks);
  expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
  using late = await openSlowReader({ url: mesh.urls[0]!, taskId: "slow", cursor: all.at(-3)!.cursor });
  expect((await late.rest()).flatMap(({ sequence }) => Number(sequence))).toContain(sequences.at(-1));
});

describe.skipIf(!canMountDisks())("a small disk", () => {
  test("is filled up to what is to be left, freed again, and gone at the end", async () => {
    const disk = await openSmallDisk({ bytes: 4 * MIB });
    const file = join(disk.dir, "file");
    await disk.fill(MIB);
    expect(await disk.freeBytes()).toBeLessThanOrEqual(MIB);
    await writeFile(file, Buffer.alloc(MIB / 2));
    await disk.fill();
    await expect(writeFile(file, Buffer.alloc(MIB))).rejects.toThrow("ENOSPC");
    await disk.free();
    await writeFile(file, Buffer.alloc(MIB));
    await disk[Symbol.asyncDispose]();
    await expect(writeFile(file, "")).rejects.toThrow("ENOENT");
  });

  test("that a broker's store is on takes no task while it is full, and what was accepted is there afterwards", async () => {
    await using small = await openFaultMesh({ coordinators: 1, agents: 1, brokerDiskBytes: 128 * MIB });
    await using caller = createClient({ urls: small.urls });
    const [broker] = small.brokers;
    await caller.submit("patient", { maxMs: 1_500 }, { taskId: "before" });
    await broker!.disk!.fill();
    await using hasty = createClient({ urls: small.urls, timeoutMs: 1_000 });
    const large = { filler: "x".repeat(200_000) };
    await expect(Promise.all([1, 2, 3].map(() => hasty.submit("quick", large)))).rejects.toThrow();
    await broker!.disk!.free();
    await broker!.restart();
    expect((await caller.outcome("before")).state).toBe("completed");
  });
});
