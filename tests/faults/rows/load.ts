// What the load itself does to a mesh: agents that come and go in numbers, tasks that kill, readers that stand still, uploads that
// break off; and what an operator or a full store does to the broker's queues.
import { randomBytes } from "node:crypto";
import { TASKS_STREAM, TIMERS_STREAM } from "../../../lib/wire/subjects.ts";
import { deleteConsumers, fillStore, freeStore, stepDownConsumers } from "../mesh/broker-actions.ts";
import { canMountDisks } from "../mesh/small-disk.ts";
import { openSlowReader, type SlowReader } from "../mesh/slow-reader.ts";
import { monotonicMs } from "../history.ts";
import type { Row, Scene } from "../row.ts";

const MIB = 1024 * 1024;
const FLEET = 20;
/** Starts that share two cores. */
const STARTS_AT_ONCE = 4;
const SLOW_READERS = 20;
const UPLOADS = 8;

/** Loads. */
export const LOAD_ROWS: readonly Row[] = [
  {
    name: "fleet-scaled",
    about:
      "the fleet grows from 1 agent to 20 and shrinks back to 1, half of them killed and half of them stopped in order",
    mesh: { agents: 1 },
    faults: 1,
    short: 0,
    inject: async ({ mesh, injected, healed }) => {
      injected(`from 1 agent to ${FLEET} and back`);
      const old = mesh.agents.slice(1);
      await inTurns([
        ...old.map((agent) => () => agent.restart()),
        ...Array.from({ length: FLEET - mesh.agents.length }, () => async () => void (await mesh.addAgent())),
      ]);
      await inTurns(
        mesh.agents.slice(1).map((agent, i) => async () => {
          await (i % 2 === 0 ? agent.kill() : agent.terminate());
        }),
      );
      healed();
      return undefined;
    },
  },
  {
    name: "poison-tasks",
    about: "tasks that kill their agents, at some or at all of their attempts; a supervisor starts the agents again",
    mesh: { leaseMs: 1_000 },
    faults: 3,
    short: 0,
    inject: async (scene) => {
      const { mesh, injected } = scene;
      injected("3 poison tasks");
      let over = false;
      const supervised = mesh.agents.map(async (agent) => {
        while (!over) {
          await Promise.race([agent.exited, scene.lasting(200)]);
          if (!agent.running && !over) await agent.restart();
        }
      });
      await Promise.all([1, 2, Number.POSITIVE_INFINITY].map((attempts) => poison(scene, attempts)));
      over = true;
      await Promise.all(supervised);
      await inTurns(mesh.agents.filter(({ running: runs }) => !runs).map((agent) => () => agent.restart()));
      return undefined;
    },
  },
  {
    name: "consumers-deleted",
    about: "an operator deletes the consumers of some queues, of all of them, or of the timers",
    mesh: {},
    faults: 6,
    short: 1,
    inject: async ({ mesh, random, injected }) => {
      const what = random.pick(["=quick=", "=work=", "=stream=", "=", "timers"]);
      const stream = what === "timers" ? TIMERS_STREAM : TASKS_STREAM;
      const matches = (name: string): boolean => what === "timers" || name.includes(what);
      const gone = await deleteConsumers(mesh.natsUrl, stream, matches);
      injected(`${gone.length} consumers of ${stream} deleted`);
      return undefined;
    },
  },
  {
    name: "consumer-leaders-moved",
    about: "three nodes: the leaders of all queues' consumers hand over",
    mesh: { brokers: 3 },
    faults: 3,
    short: 0,
    inject: async ({ mesh, injected }) => {
      const moved = await stepDownConsumers(mesh.natsUrl, TASKS_STREAM, () => true);
      if (moved.length === 0) throw new Error("no consumer's leader stepped down");
      injected(`the leaders of ${moved.length} consumers step down`);
      return undefined;
    },
  },
  {
    name: "store-full",
    about:
      "the broker's store is full for 1 to 5 s: new tasks are refused with RESOURCE_EXHAUSTED, accepted ones end, and then there is room",
    mesh: { brokerSettings: { maxFileBytes: 160 * MIB } },
    faults: 4,
    short: 0,
    inject: async ({ mesh, random, injected, healed, lasting }) => {
      const bytes = await fillStore(mesh.natsUrl);
      injected(`${Math.round(bytes / MIB)} MiB of ballast: the store is full`);
      await lasting(random.between(1_000, 5_000));
      await freeStore(mesh.natsUrl);
      healed();
      return undefined;
    },
  },
  {
    name: "disk-full",
    about:
      "the disk under the broker is full for 1 to 4 s, which nats-server does not get over by itself: it is started again on the disk that has room",
    mesh: { brokerDiskBytes: 512 * MIB },
    faults: 3,
    short: 0,
    needs: () => (canMountDisks() ? undefined : "root on Linux, to mount a small disk"),
    inject: async ({ mesh, random, injected, healed, lasting }) => {
      const [broker] = mesh.brokers;
      await broker?.disk?.fill();
      injected("the disk is full");
      await lasting(random.between(1_000, 4_000));
      await broker?.disk?.free();
      await broker?.terminate();
      await broker?.restart();
      healed();
      return undefined;
    },
  },
  {
    name: "slow-readers",
    about: `${SLOW_READERS} readers of large outputs stand still, and read on after the task's end`,
    mesh: {},
    faults: 3,
    short: 0,
    inject: async (scene) => {
      const { mesh, workload, random, injected, turn } = scene;
      const taskId = `slow-${random.between(0, 2 ** 31)}-${turn}`;
      const chunks = 100;
      await submit(scene, taskId, "stream", { chunks, bytes: 8_000 });
      const readers = await Promise.all(
        Array.from({ length: SLOW_READERS }, () => openSlowReader({ url: random.pick(mesh.urls), taskId })),
      );
      injected(`${SLOW_READERS} readers stand still`);
      return async () => {
        await told(scene, taskId);
        const found = await Promise.all(readers.map((reader) => countChunks(reader)));
        if (found.some((count) => count !== chunks)) {
          workload.journal.complaints.push(`${taskId}: slow readers got ${found.join(", ")} chunks of ${chunks}`);
        }
      };
    },
  },
  {
    name: "uploads-cut",
    about: "the connections of large uploads break off after some of their bytes",
    mesh: { links: ["client-coordinator"] },
    mix: { large: 6, one: 20, bulk: 4, followed: 4, resumed: 4 },
    faults: 3,
    short: 0,
    tasksBetween: 200,
    inject: async (scene) => {
      const { mesh, workload, random, injected, healed } = scene;
      const uploads = Array.from({ length: UPLOADS }, async (_, i) => {
        const content = randomBytes(random.between(300_000, 3 * MIB));
        const client = workload.clients[i % workload.clients.length];
        if (client === undefined) return;
        const ref = await client.uploadBlob(content);
        const back = await client.downloadBlob(ref).bytes();
        if (!content.equals(back)) workload.journal.complaints.push(`blob ${ref.blobId}: other bytes came back`);
      });
      injected(`${UPLOADS} uploads break off`);
      for (let cuts = 0; cuts < 4; cuts += 1) {
        for (const { proxies } of mesh.coordinators) {
          proxies["client-coordinator"]?.dropAfter(random.between(10_000, 400_000), "in");
        }
        await scene.lasting(random.between(50, 400));
        await mesh.heal();
      }
      healed();
      const startedAt = monotonicMs();
      await Promise.all(uploads).catch((error: unknown) => workload.journal.failed("upload", startedAt, error));
      return undefined;
    },
  },
];

async function inTurns(acts: readonly (() => Promise<void>)[]): Promise<void> {
  for (let i = 0; i < acts.length; i += STARTS_AT_ONCE) {
    await Promise.all(acts.slice(i, i + STARTS_AT_ONCE).map((act) => act()));
  }
}

async function poison(scene: Scene, attempts: number): Promise<void> {
  const taskId = `poison-${attempts}-${scene.random.between(0, 2 ** 31)}-${scene.turn}`;
  await submit(scene, taskId, "poison", Number.isFinite(attempts) ? { attempts } : {});
  const state = await told(scene, taskId);
  // The others may lose their last attempts with agents that this or another one killed.
  const possible = Number.isFinite(attempts) ? ["completed", "failed"] : ["failed"];
  if (!possible.includes(state)) scene.workload.journal.complaints.push(`${taskId}: ended as ${state}`);
}

const POISON_ATTEMPTS = 3;

async function submit({ workload }: Scene, taskId: string, type: string, input: object): Promise<void> {
  const { clients, journal } = workload;
  const task = { client: "row", taskId, type, maximumAttempts: POISON_ATTEMPTS };
  const startedAt = monotonicMs();
  const retry = { maximumAttempts: POISON_ATTEMPTS, initialIntervalMs: 50 };
  const answer = await clients[0]?.submit(type, input, { taskId, retry });
  journal.submitted(task, startedAt, answer?.existing ?? false);
}

async function told({ workload }: Scene, taskId: string): Promise<string> {
  const startedAt = monotonicMs();
  const outcome = await workload.clients[0]?.outcome(taskId);
  if (outcome !== undefined) workload.journal.told("outcome", startedAt, outcome.status);
  return outcome?.state ?? "";
}

async function countChunks(reader: SlowReader): Promise<number> {
  using _reader = reader;
  const messages = await reader.rest();
  return messages.filter(({ kind }) => kind.case === "output").length;
}
