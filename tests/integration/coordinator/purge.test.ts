// A purge that comes late must not meet the task that was submitted anew under the same id.
import { expect, test } from "vitest";
import { OUTPUT_STREAM, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { type MeshLog, openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";

async function ended(log: MeshLog): Promise<number> {
  const writer = new TaskWriter(log, "again");
  await writer.submit();
  await writer.begin("a", 1);
  const output = await writer.output("a", 1, "old");
  return await writer.complete("a", 1, output);
}

async function stored(log: MeshLog, stream: string): Promise<number> {
  return (await log.manager.streams.info(stream)).state.messages;
}

test("two that purge the same task leave the one that came after it", async () => {
  await using log = await openMeshLog();
  const first = await ended(log);
  await log.taskLog.purge(TENANT, "again", first);
  expect(await stored(log, TASKS_STREAM)).toBe(0);
  expect(await stored(log, OUTPUT_STREAM)).toBe(0);
  const writer = new TaskWriter(log, "again");
  await writer.submit();
  await writer.begin("b", 1);
  await writer.output("b", 1, "new");

  await log.taskLog.purge(TENANT, "again", first);

  expect(await stored(log, TASKS_STREAM)).toBe(2);
  expect(await stored(log, OUTPUT_STREAM)).toBe(1);
});

test("a purge that the broker carries out late removes no more than what it was decided about", async () => {
  await using log = await openMeshLog();
  const first = await ended(log);
  const { manager } = log;
  const purge = manager.streams.purge.bind(manager.streams);
  const late: (() => Promise<unknown>)[] = [];
  manager.streams.purge = async (...request) => {
    late.push(() => purge(...request));
    return purge(...request);
  };
  await log.taskLog.purge(TENANT, "again", first);
  const writer = new TaskWriter(log, "again");
  await writer.submit();
  await writer.begin("b", 1);
  await writer.output("b", 1, "new");

  for (const repeat of late) await repeat();

  expect(late.length).toBeGreaterThan(0);
  expect(await stored(log, TASKS_STREAM)).toBe(2);
  expect(await stored(log, OUTPUT_STREAM)).toBe(1);
});
