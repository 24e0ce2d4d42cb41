// Agents that die, stand still, or are not trusted with their own clock.
import type { Member } from "../mesh/member.ts";
import type { Row, Scene } from "../row.ts";

const LEASE_MS = 2_000;

/** Agents. */
export const AGENT_ROWS: readonly Row[] = [
  {
    name: "agent-killed",
    about: "kill -9 of an agent at work; it comes back after the mesh has recovered",
    mesh: { leaseMs: LEASE_MS },
    faults: 12,
    short: 1,
    resumes: true,
    inject: async ({ mesh, random, injected }) => {
      const victim = random.pick(running(mesh.agents));
      injected(`kill -9 ${victim.name}`);
      await victim.kill();
      return async () => await victim.restart();
    },
  },
  {
    name: "agent-stopped",
    about: "SIGSTOP of an agent for longer than its lease, then SIGCONT: it completes late what others have taken over",
    mesh: { leaseMs: LEASE_MS },
    faults: 6,
    short: 0,
    resumes: true,
    inject: async (scene) => {
      const victim = scene.random.pick(running(scene.mesh.agents));
      return await standStill(scene, victim, LEASE_MS + scene.random.between(500, 3_000));
    },
  },
  {
    name: "agents-killed-all",
    about: "kill -9 of all agents at once; new ones start at once",
    mesh: { leaseMs: LEASE_MS },
    faults: 5,
    short: 0,
    resumes: true,
    inject: async ({ mesh, injected, healed }) => {
      injected("kill -9 of all agents");
      await Promise.all(mesh.agents.map((agent) => agent.kill()));
      await Promise.all(mesh.agents.map((agent) => agent.restart()));
      healed();
      return undefined;
    },
  },
  {
    name: "agent-terminated",
    about: "SIGTERM of an agent, as a deployment does; it comes back",
    mesh: { leaseMs: LEASE_MS },
    faults: 6,
    short: 0,
    resumes: true,
    inject: async ({ mesh, random, injected }) => {
      const victim = random.pick(running(mesh.agents));
      injected(`SIGTERM ${victim.name}`);
      const left = victim.terminate();
      return async () => {
        await left;
        await victim.restart();
      };
    },
  },
  {
    name: "agent-clock-jump",
    about: "an agent's wall clock jumps by up to a day, forwards or backwards",
    mesh: { leaseMs: LEASE_MS },
    faults: 5,
    short: 0,
    inject: async ({ mesh, random, injected }) => {
      const victim = random.pick(running(mesh.agents));
      const ms = jump(random);
      injected(`the clock of ${victim.name} jumps by ${Math.round(ms / 1_000)} s`);
      await victim.jumpClock(ms);
      return undefined;
    },
  },
];

/** Those that run. */
export function running(members: readonly Member[]): readonly Member[] {
  return members.filter((member) => member.running);
}

/** From a second to a day, forwards or backwards. */
export function jump(random: Scene["random"]): number {
  const ms = random.pick([1_000, 5_000, 60_000, 3_600_000, 86_400_000]);
  return random.chance(0.5) ? ms : -ms;
}

/** Stops a process for a while. */
export async function standStill(scene: Scene, victim: Member, ms: number): Promise<undefined> {
  scene.injected(`SIGSTOP ${victim.name} for ${ms} ms`);
  victim.pause();
  try {
    await scene.lasting(ms);
  } finally {
    victim.resume();
  }
  return undefined;
}
