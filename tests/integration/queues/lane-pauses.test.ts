// What JetStream does with a paused lane, and that every coordinator keeps lanes as paused as they are set.
import { afterAll, beforeAll, expect, test } from "vitest";
import { QueueSettings } from "../../../lib/nats/queue-settings.ts";
import { dispatchSubject, laneConsumer, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { type MeshLog, openMeshLog } from "../../support/mesh-log.ts";
import { LEASE_MS, openPausing, type Pausing, pullStanding, type StandingPull, TENANT } from "./pausing.ts";

const openCoordinator = (): Promise<Pausing> => openPausing(log);
const standingPull = (queue: string, heartbeatMs: number): StandingPull =>
  pullStanding(log.connection, queue, heartbeatMs);

let log: MeshLog;
beforeAll(async () => {
  log = await openMeshLog();
});
afterAll(() => log[Symbol.asyncDispose]());

async function dispatch(queue: string, taskId: string, priority = 5): Promise<void> {
  await log.publisher.publish({ subject: dispatchSubject(TENANT, taskId, queue, priority), body: new Uint8Array() });
}

async function isPaused(queue: string, priority = 5): Promise<boolean> {
  const info = await log.manager.consumers.info(TASKS_STREAM, laneConsumer(TENANT, queue, priority));
  return info.paused === true;
}

async function pausedLanes(queue: string): Promise<readonly boolean[]> {
  return await Promise.all([15, 10, 5, 1].map((priority) => isPaused(queue, priority)));
}

test("settings open although a leader is elected while they do", async () => {
  await using mesh = await openMeshLog();
  const { connection, manager } = mesh;
  // Stands for an election: the watch breaks before it has told anything.
  const { config } = await manager.streams.info("KV_MYCEL_QUEUES");
  await manager.streams.delete("KV_MYCEL_QUEUES");
  const troubles: unknown[] = [];
  const onError = async (error: unknown): Promise<void> => {
    if (troubles.push(error) === 1) await manager.streams.add(config);
  };
  const observer = { onError: (error: unknown) => void onError(error), onGarbage: () => undefined };
  await using settings = await QueueSettings.open(connection, observer);
  expect(settings.pauseOf("t", "q")).toBe(undefined);
  expect(troubles.length).toBeGreaterThan(0);
});

test("a pull that stands at a paused lane gets work as soon as it goes on, before any further sign of life", async () => {
  await using coordinator = await openCoordinator();
  await coordinator.lanes.lanesOf(TENANT, "standing");
  await coordinator.pause("standing");
  await coordinator.pauses.settle(TENANT, "standing");
  using pull = standingPull("standing", 14_000);
  await dispatch("standing", "first");
  // The broker has taken in both, and looks at the pull again only when it gives a sign of life.
  await log.connection.flush();
  expect(pull.came).toEqual([]);

  await coordinator.resume("standing");

  await expect.poll(() => pull.came, { timeout: 5_000 }).toEqual([{ what: "first", deliveries: 1 }]);
});

test("a delivery that ended while its lane was paused waits, and comes when it goes on", async () => {
  await using coordinator = await openCoordinator();
  await coordinator.lanes.lanesOf(TENANT, "again");
  using first = standingPull("again", 10_000);
  await dispatch("again", "lost");
  await expect.poll(() => first.came).toEqual([{ what: "lost", deliveries: 1 }]);
  await coordinator.pause("again");
  await coordinator.pauses.settle(TENANT, "again");
  using second = standingPull("again", LEASE_MS / 2);
  // Three leases long.
  await expect.poll(() => second.came.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(6);
  expect(second.came.every(({ what }) => what === "100")).toBe(true);

  await coordinator.resume("again");

  await expect.poll(() => second.came.at(-1)).toEqual({ what: "lost", deliveries: 2 });
});

test("a pause with an end is over by itself, and brings work to the pulls that stand", async () => {
  await using coordinator = await openCoordinator();
  await coordinator.lanes.lanesOf(TENANT, "until");
  await coordinator.pause("until", Date.now() + 1_500);
  await coordinator.pauses.settle(TENANT, "until");
  expect(await isPaused("until")).toBe(true);
  using pull = standingPull("until", 14_000);
  await dispatch("until", "waits");

  await expect.poll(() => pull.came, { timeout: 5_000 }).toEqual([{ what: "waits", deliveries: 1 }]);
  expect(coordinator.pauses.untilMs(TENANT, "until")).toBeUndefined();
});

test("lanes that are made while their queue is paused are paused from the first moment", async () => {
  await using one = await openCoordinator();
  await using other = await openCoordinator();
  await one.pause("later");
  await expect.poll(() => other.settings.pauseOf(TENANT, "later")).toBeDefined();
  const made: unknown[] = [];
  const watch = log.connection.subscribe("$JS.API.CONSUMER.CREATE.>", {
    callback: (_error, message) => {
      made.push(message.json<{ readonly config: { readonly pause_until?: string } }>().config.pause_until);
    },
  });
  await other.lanes.lanesOf(TENANT, "later");
  watch.unsubscribe();
  expect(made).toEqual(Array.from({ length: 4 }, () => "2200-01-01T00:00:00.000Z"));
  expect(await pausedLanes("later")).toEqual([true, true, true, true]);

  await log.manager.consumers.delete(TASKS_STREAM, laneConsumer(TENANT, "later", 10));
  await one.lanes.renew(TENANT, "later");
  expect(await pausedLanes("later")).toEqual([true, true, true, true]);

  await other.resume("later");
  await expect.poll(() => pausedLanes("later")).toEqual([false, false, false, false]);
});

test("what a coordinator left undone when it died is done by the others, and by the next one", async () => {
  await using one = await openCoordinator();
  await one.lanes.lanesOf(TENANT, "undone");
  // It dies right after it has written what it was asked for.
  await one.pause("undone");
  await expect.poll(() => pausedLanes("undone")).toEqual([true, true, true, true]);
  {
    const { connection } = log;
    await using dying = await QueueSettings.open(connection, { onError: () => undefined, onGarbage: () => undefined });
    await one[Symbol.asyncDispose]();
    await dying.change(TENANT, "undone", () => undefined);
  }
  expect(await pausedLanes("undone")).toEqual([true, true, true, true]);

  await using _next = await openCoordinator();

  await expect.poll(() => pausedLanes("undone")).toEqual([false, false, false, false]);
});

test("a lane goes on, and is made anew, with the settings that it had", async () => {
  await using coordinator = await openCoordinator();
  const before = await coordinator.lanes.lanesOf(TENANT, "same");
  await coordinator.pause("same");
  await coordinator.pauses.settle(TENANT, "same");
  await coordinator.resume("same");
  await coordinator.pauses.settle(TENANT, "same");
  const made: string[] = [];
  log.connection.subscribe("$JS.API.CONSUMER.CREATE.>", { callback: (_error, { subject }) => void made.push(subject) });
  await log.connection.flush();

  expect(await coordinator.lanes.renew(TENANT, "same")).toEqual(before);

  expect(made).toEqual([]);
  const { config } = await log.manager.consumers.info(TASKS_STREAM, laneConsumer(TENANT, "same", 5));
  expect(config.max_ack_pending).toBe(100_000);
});

test("two that change a queue's pause at once both stand by what the later one decided", async () => {
  await using one = await openCoordinator();
  await using other = await openCoordinator();
  await one.lanes.lanesOf(TENANT, "both");
  for (let round = 0; round < 10; round += 1) {
    await Promise.all([one.pause("both"), other.resume("both")]);
    const last = await one.settings.change(TENANT, "both", (standing) => standing);
    const paused = last !== undefined;
    await expect.poll(() => pausedLanes("both")).toEqual([paused, paused, paused, paused]);
    for (const { settings } of [one, other]) {
      await expect.poll(() => settings.pauseOf(TENANT, "both") !== undefined).toBe(paused);
    }
  }
});

test("a coordinator that hears of changes late neither undoes a pause nor brings one back", async () => {
  await using one = await openCoordinator();
  await using late = await openCoordinator();
  await one.lanes.lanesOf(TENANT, "late");
  await late.lanes.lanesOf(TENANT, "late");
  // From now on it hears of nothing, as while its watch is broken.
  await late.settings[Symbol.asyncDispose]();
  await one.pause("late");
  await expect.poll(() => pausedLanes("late")).toEqual([true, true, true, true]);
  expect(late.settings.pauseOf(TENANT, "late")).toBeUndefined();
  // An agent registers.
  await late.lanes.renew(TENANT, "late");
  expect(await pausedLanes("late")).toEqual([true, true, true, true]);
  expect(late.settings.pauseOf(TENANT, "late")).toBeDefined();

  await one.resume("late");
  await expect.poll(() => pausedLanes("late")).toEqual([false, false, false, false]);
  // Nothing is left to change, which is news to it.
  await late.resume("late");
  expect(late.settings.pauseOf(TENANT, "late")).toBeUndefined();
  await late.pauses.settle(TENANT, "late");
  expect(await pausedLanes("late")).toEqual([false, false, false, false]);
});

test("a pause outlives a broker that was killed", async () => {
  await using own = await openMeshLog();
  await using coordinator = await openPausing(own, () => undefined);
  const consumer = laneConsumer(TENANT, "killed", 5);
  const info = () => own.manager.consumers.info(TASKS_STREAM, consumer).catch(() => undefined);
  await coordinator.lanes.lanesOf(TENANT, "killed");
  await coordinator.pause("killed");
  await coordinator.pauses.settle(TENANT, "killed");

  await own.nats.kill();
  await own.nats.restart();

  await expect.poll(async () => (await info())?.paused, { timeout: 10_000 }).toBe(true);
  const subject = dispatchSubject(TENANT, "kept", "killed", 5);
  expect(await own.publisher.publish({ subject, body: new Uint8Array() })).toMatchObject({ kind: "stored" });
  using pull = pullStanding(own.connection, "killed", 14_000);
  await own.connection.flush();
  expect(pull.came).toEqual([]);
  await coordinator.resume("killed");
  await expect.poll(() => pull.came, { timeout: 5_000 }).toEqual([{ what: "kept", deliveries: 1 }]);
});
