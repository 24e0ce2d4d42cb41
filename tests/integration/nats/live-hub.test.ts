// What was announced while a stream changed its leader may never arrive: whoever listens is told to look for itself.
import { expect, test } from "vitest";
import { LiveHub } from "../../../lib/nats/live-hub.ts";
import { PublishedHeaders } from "../../../lib/nats/published-headers.ts";
import { eventSubject, OUTPUT_STREAM, outputSubject } from "../../../lib/wire/subjects.ts";
import { announceLeader } from "../../support/advisories.ts";
import { openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";

test("every watch of a task has missed something when a stream has a new leader", async () => {
  await using log = await openMeshLog();
  using hub = new LiveHub(log.connection);
  const news: string[] = [];
  using first = hub.watch(TENANT, "t1", () => news.push("t1"));
  using second = hub.watch(TENANT, "t2", () => news.push("t2"));

  announceLeader(log.connection, "MYCEL_TASKS");
  await log.connection.flush();

  await expect.poll(() => news).toEqual(["t1", "t2"]);
  expect([first.take(), second.take()]).toEqual([{ kind: "missed" }, { kind: "missed" }]);
  expect(first.take()).toEqual({ kind: "nothing" });

  const writer = new TaskWriter(log, "t1");
  await writer.submit();
  const sequence = await writer.begin("a1", 1);
  await expect.poll(() => news).toEqual(["t1", "t2", "t1"]);
  expect(first.take()).toMatchObject({ kind: "message", message: { stored: { sequence } } });
});

test("a header whose name is none, which anybody may publish, does not end what is heard", async () => {
  await using log = await openMeshLog();
  using hub = new LiveHub(log.connection);
  let news = 0;
  using watch = hub.watch(TENANT, "t1", () => (news += 1));
  const writer = new TaskWriter(log, "t1");
  await writer.submit();

  const output = outputSubject(TENANT, "t1", "a1", 1);
  const headers = new PublishedHeaders();
  headers.add("no name", "");
  log.connection.publish(output, "", { headers });
  await writer.begin("a1", 1);

  await expect.poll(() => news).toBe(2);
  // They are of two streams, of which neither waits for the other.
  const subjects = [watch.take(), watch.take()].map((take) => take.kind === "message" && take.message.stored.subject);
  expect(new Set(subjects)).toEqual(new Set([output, eventSubject(TENANT, "t1")]));
});

test("what the broker says of a message wins over what its publisher says of it, live and in the log", async () => {
  await using log = await openMeshLog();
  using hub = new LiveHub(log.connection);
  let news = 0;
  using watch = hub.watch(TENANT, "t1", () => (news += 1));

  const forged = new PublishedHeaders();
  forged.add("Nats-Subject", eventSubject(TENANT, "t1"));
  forged.add("Nats-Sequence", "7");
  forged.add("Nats-Last-Sequence", "6");
  forged.add("Nats-Time-Stamp", "2020-01-01T00:00:00Z");
  const output = outputSubject(TENANT, "t1", "a1", 1);
  log.connection.publish(output, "", { headers: forged });

  await expect.poll(() => news).toBe(1);
  const take = watch.take();
  expect(take).toMatchObject({ kind: "message", message: { stored: { subject: output, sequence: 1 }, previous: 0 } });
  const stored = take.kind === "message" ? take.message.stored : undefined;
  expect(await log.reader.read(OUTPUT_STREAM, { seq: 1 })).toEqual([stored]);
  expect(await log.reader.read(OUTPUT_STREAM, { seq: 1, next_by_subj: output, batch: 2 })).toEqual([stored]);
});
