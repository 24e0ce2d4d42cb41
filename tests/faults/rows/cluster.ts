// Three brokers with three replicas of everything: nodes die, stand still, hand over, or are cut off.
import type { FaultMeshOptions } from "../mesh/fault-mesh.ts";
import type { Member } from "../mesh/member.ts";
import type { Row } from "../row.ts";
import { OUTPUT_STREAM, TASKS_STREAM, TIMERS_STREAM } from "../../../lib/wire/subjects.ts";

const CLUSTER: FaultMeshOptions = { brokers: 3 };
/** How long calls without any retry may fail when the leader is lost. */
const OUTAGE_MS = 5_000;

/** A cluster. */
export const CLUSTER_ROWS: readonly Row[] = [
  {
    name: "leader-killed",
    about: "three nodes: kill -9 of the one that leads the tasks' stream; it comes back after the mesh has recovered",
    mesh: CLUSTER,
    faults: 6,
    short: 1,
    resumes: true,
    outageMs: OUTAGE_MS,
    inject: async ({ mesh, injected }) => {
      const leader = await mesh.leaderOf(TASKS_STREAM);
      injected(`kill -9 ${leader.name}, the leader`);
      await leader.kill();
      return () => leader.restart();
    },
  },
  {
    name: "follower-killed",
    about: "three nodes: kill -9 of one that follows; it comes back after the mesh has recovered",
    mesh: CLUSTER,
    faults: 4,
    short: 0,
    resumes: true,
    outageMs: OUTAGE_MS,
    inject: async ({ mesh, random, injected }) => {
      const leader = await mesh.leaderOf(TASKS_STREAM);
      const victim = random.pick(mesh.brokers.filter(({ name }) => name !== leader.name));
      injected(`kill -9 ${victim.name}, a follower`);
      await victim.kill();
      return () => victim.restart();
    },
  },
  {
    name: "nodes-killed-all",
    about: "three nodes: kill -9 of all of them at once; they start again on their data",
    mesh: CLUSTER,
    faults: 3,
    short: 0,
    inject: async ({ mesh, injected, healed }) => {
      injected("kill -9 of all nodes");
      await Promise.all(mesh.brokers.map((broker) => broker.kill()));
      await Promise.all(mesh.brokers.map((broker) => broker.restart()));
      healed();
      return undefined;
    },
  },
  {
    name: "leader-stepped-down",
    about: "three nodes: the leader of a stream hands over to another node",
    mesh: CLUSTER,
    faults: 8,
    short: 0,
    outageMs: OUTAGE_MS,
    inject: async ({ mesh, random, injected }) => {
      const stream = random.pick([TASKS_STREAM, TASKS_STREAM, OUTPUT_STREAM, TIMERS_STREAM]);
      injected(`the leader of ${stream} steps down`);
      await mesh.stepDown(stream);
      return undefined;
    },
  },
  {
    name: "leader-stopped",
    about: "three nodes: SIGSTOP of the leader for 5 to 15 s, then SIGCONT: it comes back and believes that it leads",
    mesh: CLUSTER,
    faults: 4,
    short: 0,
    inject: async ({ mesh, random, injected, lasting }) => {
      const leader = await mesh.leaderOf(TASKS_STREAM);
      const ms = random.between(5_000, 15_000);
      injected(`SIGSTOP ${leader.name}, the leader, for ${ms} ms`);
      leader.pause();
      try {
        await lasting(ms);
      } finally {
        leader.resume();
      }
      return undefined;
    },
  },
  {
    name: "node-cut-off",
    about: "three nodes: one of them is cut off from the others and from everybody else for 5 to 15 s",
    mesh: { ...CLUSTER, links: ["broker-broker", "coordinator-broker", "agent-broker"] },
    faults: 4,
    short: 0,
    inject: async ({ mesh, random, injected, lasting }) => {
      const leader: Member = await mesh.leaderOf(TASKS_STREAM);
      const victim = random.chance(0.6) ? leader : random.pick(mesh.brokers);
      const how = random.pick(["silent", "refused"] as const);
      const ms = random.between(5_000, 15_000);
      injected(`${victim.name}${victim === leader ? ", the leader," : ""} is cut off (${how}) for ${ms} ms`);
      await mesh.isolate(victim, how);
      try {
        await lasting(ms);
      } finally {
        await mesh.heal();
      }
      return undefined;
    },
  },
];
