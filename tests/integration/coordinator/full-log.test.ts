// A log that is full takes no new tasks; those that it took can still end.
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { OUTPUT_STREAM } from "../../../lib/wire/subjects.ts";
import { openParts, type Parts } from "./open-parts.ts";

const LIMIT = 20_000_000;
const INPUT = create(PayloadSchema, {
  kind: { case: "bytes", value: { data: new Uint8Array(250_000), contentType: "application/octet-stream" } },
});

async function fill(parts: Parts, inParallel: number): Promise<number> {
  const reasons: unknown[] = [];
  let taken = 0;
  const submitAll = async (): Promise<void> => {
    while (reasons.length === 0) {
      await parts.submit({ input: INPUT }).then(
        () => (taken += 1),
        (error: unknown) => reasons.push(error instanceof MeshError ? error.reason : error),
      );
    }
  };
  await Promise.all(Array.from({ length: inParallel }, submitAll));
  expect(new Set(reasons)).toEqual(new Set(["STORAGE_FULL"]));
  return taken;
}

test.for([1, 16])("every task that was accepted ends though no more are, with %i at a time", async (inParallel) => {
  await using parts = await openParts();
  const options = { replicas: 1, retentionMs: 600_000, maxBytes: LIMIT, agentTtlMs: 5_000 };
  await ensureTopology(parts.log.connection, options);
  const known = await parts.submit({ taskId: "known", input: INPUT });

  const taken = await fill(parts, inParallel);

  // Most of the log is for tasks, and the rest for their ends.
  expect(taken * 250_000).toBeGreaterThan(0.7 * LIMIT);
  for (let i = 0; i <= taken; i += 1) {
    const result = create(PayloadSchema, { kind: { case: "bytes", value: { data: new Uint8Array(5_000) } } });
    const { outcome } = await parts.report(await parts.pull(), { kind: { case: "complete", value: { result } } });
    expect(outcome.case).toBe("accepted");
  }
  // It takes nothing new, but what it took already it still knows.
  await expect(parts.submit({ taskId: known.taskId, input: INPUT })).resolves.toMatchObject({ existing: true });
});

test("no new tasks are taken while their outputs could not be kept, and they are again as soon as there is room", async () => {
  await using parts = await openParts();
  const { connection, manager, publisher } = parts.log;
  await ensureTopology(connection, { replicas: 1, retentionMs: 600_000, maxBytes: LIMIT, agentTtlMs: 5_000 });
  await parts.submit({ input: INPUT });
  for (let bytes = 0; bytes < 0.92 * LIMIT; bytes += 500_000) {
    const outcome = await publisher.publish({ subject: "out.t.task.agent.1", body: new Uint8Array(500_000) });
    expect(outcome.kind).toBe("stored");
  }
  await expect.poll(() => refusalOf(parts)).toBe("STORAGE_FULL");
  await manager.streams.purge(OUTPUT_STREAM);
  await expect.poll(() => refusalOf(parts)).toBeUndefined();
});

async function refusalOf(parts: Parts): Promise<unknown> {
  return await parts.submit({}).then(
    () => undefined,
    (error: unknown) => (error instanceof MeshError ? error.reason : error),
  );
}
