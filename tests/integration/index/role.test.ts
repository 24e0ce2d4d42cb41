import { expect, test } from "vitest";
import { openNats } from "../../../lib/nats/connection.ts";
import { openRole, type Role } from "../../../lib/nats/role.ts";
import { type MeshLog, openMeshLog } from "../../support/mesh-log.ts";
import { systemClock } from "./system-clock.ts";

interface Applicant extends AsyncDisposable {
  readonly role: Role;
  readonly acquired: Promise<void>;
  readonly lost: Promise<void>;
  /** Cuts its connection as a crash would: nothing is laid down. */
  crash(): Promise<void>;
}

async function apply(log: MeshLog, holderId: string): Promise<Applicant> {
  const connection = await openNats({ servers: log.nats.url, name: holderId });
  const acquired = Promise.withResolvers<void>();
  const lost = Promise.withResolvers<void>();
  const role = await openRole({
    connection,
    name: "index",
    holderId,
    clock: systemClock,
    onAcquired: () => acquired.resolve(),
    onLost: () => lost.resolve(),
    onTrouble: () => undefined,
  });
  return {
    role,
    acquired: acquired.promise,
    lost: lost.promise,
    crash: () => connection.close(),
    async [Symbol.asyncDispose]() {
      await role[Symbol.asyncDispose]();
      await connection.close();
    },
  };
}

test("one of two applicants holds the role, and the other takes it as soon as it is laid down", async () => {
  await using log = await openMeshLog();
  const first = await apply(log, "first");
  await first.acquired;
  await using second = await apply(log, "second");
  await log.connection.flush();
  expect([first.role.held, second.role.held]).toEqual([true, false]);
  await first[Symbol.asyncDispose]();
  await first.lost;
  await second.acquired;
  expect([first.role.held, second.role.held]).toEqual([false, true]);
});

test("the other takes over from a holder that vanished, and the vanished one stops by itself before that", async () => {
  await using log = await openMeshLog();
  await using first = await apply(log, "first");
  await first.acquired;
  await using second = await apply(log, "second");
  await first.crash();
  const order: string[] = [];
  await Promise.all([first.lost.then(() => order.push("lost")), second.acquired.then(() => order.push("acquired"))]);
  expect(order).toEqual(["lost", "acquired"]);
  expect(first.role.held).toBe(false);
});

test("a holder keeps its role over a restart of the broker that is shorter than its lease", async () => {
  await using log = await openMeshLog();
  await using holder = await apply(log, "first");
  await holder.acquired;
  await log.nats.kill();
  await log.nats.restart();
  await using other = await apply(log, "second");
  const outcome = await Promise.race([holder.lost.then(() => "lost"), renewedTwice(log)]);
  expect(outcome).toBe("renewed");
  expect([holder.role.held, other.role.held]).toEqual([true, false]);
});

/** Resolves when the role's entry has been written twice more. */
async function renewedTwice(log: MeshLog): Promise<string> {
  const revision = async (): Promise<number> => {
    const found = await log.reader.read("KV_MYCEL_ROLES", { last_by_subj: "$KV.MYCEL_ROLES.index" }).catch(() => []);
    return found[0]?.sequence ?? 0;
  };
  const before = await revision();
  await expect.poll(revision, { timeout: 20_000, interval: 100 }).toBeGreaterThan(before + 1);
  return "renewed";
}
