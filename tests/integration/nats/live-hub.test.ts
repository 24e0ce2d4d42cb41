// What was announced while a stream changed its leader may never arrive: whoever listens is told to look for itself.
import { expect, test } from "vitest";
import { LiveHub } from "../../../lib/nats/live-hub.ts";
import { openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";

test("every watch of a task has missed something when a stream has a new leader", async () => {
  await using log = await openMeshLog();
  using hub = new LiveHub(log.connection);
  const news: string[] = [];
  using first = hub.watch(TENANT, "t1", () => news.push("t1"));
  using second = hub.watch(TENANT, "t2", () => news.push("t2"));

  log.connection.publish("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.MYCEL_TASKS");
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
