// What is heard of all tasks of a tenant, and what is not.
import { expect, test } from "vitest";
import { announceLeader } from "../../support/advisories.ts";
import { type MeshLog, openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";
import { openTenantFeed, type TenantFeed } from "../../../lib/nats/tenant-feed.ts";
import { dispatchSubject, eventSubject } from "../../../lib/wire/subjects.ts";

test("dispatches and events of every task of the tenant are heard, and nothing of others", async () => {
  await using log = await openMeshLog();
  const { feed, heard } = await listen(log);
  using _feed = feed;
  log.connection.publish(dispatchSubject("other", "t9", "echo", 5), "");
  const [first, second] = [new TaskWriter(log, "t1"), new TaskWriter(log, "t2")];
  await first.submit();
  await second.submit();
  const begun = await first.begin("a1", 1);
  const done = await second.complete("a2", 1, 0);
  await first.output("a1", 1, "an output is no event");
  await log.connection.flush();
  expect(heard).toEqual(["dispatch t1", "dispatch t2", `event t1 ${begun}`, `event t2 ${done}`]);
  const sequences = (await feed.dispatchesOf(["t1", "t2", "t3"])).map(({ subject }) => subject);
  expect(sequences.sort()).toEqual([1, 2].map((n) => dispatchSubject(TENANT, `t${n}`, "echo", 5)));
});

test("the copy of a dispatch that is taken back is no news, and neither is what the broker has not stored", async () => {
  await using log = await openMeshLog();
  const { feed, heard } = await listen(log);
  using _feed = feed;
  const writer = new TaskWriter(log, "t1");
  await writer.submit();
  await writer.event({ state: "canceled", attempt: 0 });
  const record = await log.taskLog.readLatest(TENANT, "t1");
  await log.taskLog.withdraw(record!);
  log.connection.publish("live.default.t1.e", "forged");
  await log.connection.flush();
  expect(heard).toEqual(["dispatch t1", `event t1 ${writer.last}`]);
});

test("a lost leader is told, and after it is disposed nothing is heard any more", async () => {
  await using log = await openMeshLog();
  const { feed, heard } = await listen(log);
  announceLeader(log.connection, "MYCEL_TASKS");
  await log.connection.flush();
  expect(heard).toEqual(["lost"]);
  feed[Symbol.dispose]();
  await new TaskWriter(log, "t1").submit();
  await log.connection.flush();
  expect(heard).toEqual(["lost"]);
});

test("the dispatches of more tasks than one read asks for are found", async () => {
  await using log = await openMeshLog();
  const { feed } = await listen(log);
  using _feed = feed;
  const taskIds = Array.from({ length: 70 }, (_, i) => `t${i}`);
  await Promise.all(taskIds.map((taskId) => new TaskWriter(log, taskId).submit()));
  expect(await feed.dispatchesOf(taskIds)).toHaveLength(70);
  expect(await feed.dispatchesOf([])).toEqual([]);
});

async function listen(log: MeshLog): Promise<{ feed: TenantFeed; heard: string[] }> {
  const heard: string[] = [];
  const feed = await openTenantFeed({
    connection: log.connection,
    reader: log.reader,
    tenant: TENANT,
    listener: {
      dispatch: (taskId) => heard.push(`dispatch ${taskId}`),
      event: (taskId, { sequence, subject }) => {
        expect(subject).toBe(eventSubject(TENANT, taskId));
        heard.push(`event ${taskId} ${sequence}`);
      },
      lost: () => heard.push("lost"),
    },
  });
  return { feed, heard };
}
