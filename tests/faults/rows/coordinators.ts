// Coordinators that die, stand still, leave, or have a wrong clock.
import type { Row } from "../row.ts";
import { jump, running, standStill } from "./agents.ts";

/** Coordinators. */
export const COORDINATOR_ROWS: readonly Row[] = [
  {
    name: "coordinator-killed",
    about: "kill -9 of one of two coordinators; it comes back after the mesh has recovered",
    mesh: {},
    faults: 12,
    short: 1,
    resumes: true,
    inject: async ({ mesh, random, injected }) => {
      const victim = random.pick(running(mesh.coordinators));
      injected(`kill -9 ${victim.name}`);
      await victim.kill();
      return async () => await victim.restart();
    },
  },
  {
    name: "coordinators-killed-all",
    about: "kill -9 of all coordinators at once; they start again",
    mesh: {},
    faults: 5,
    short: 0,
    inject: async ({ mesh, injected, healed }) => {
      injected("kill -9 of all coordinators");
      await Promise.all(mesh.coordinators.map((coordinator) => coordinator.kill()));
      await Promise.all(mesh.coordinators.map((coordinator) => coordinator.restart()));
      healed();
      return undefined;
    },
  },
  {
    name: "coordinator-stopped",
    about: "SIGSTOP of one of two coordinators for 1 to 8 s, then SIGCONT",
    mesh: {},
    faults: 6,
    short: 0,
    inject: async (scene) => {
      return await standStill(scene, scene.random.pick(scene.mesh.coordinators), scene.random.between(1_000, 8_000));
    },
  },
  {
    name: "coordinator-terminated",
    about: "SIGTERM of one of two coordinators, as a deployment does; it comes back",
    mesh: {},
    faults: 5,
    short: 0,
    inject: async ({ mesh, random, injected }) => {
      const victim = random.pick(running(mesh.coordinators));
      injected(`SIGTERM ${victim.name}`);
      const left = victim.terminate();
      return async () => {
        await left;
        await victim.restart();
      };
    },
  },
  {
    name: "coordinator-clock-jump",
    about: "a coordinator's wall clock jumps by up to a day, forwards or backwards",
    mesh: {},
    faults: 5,
    short: 0,
    inject: async ({ mesh, random, injected }) => {
      const victim = random.pick(mesh.coordinators);
      const ms = jump(random);
      injected(`the clock of ${victim.name} jumps by ${Math.round(ms / 1_000)} s`);
      await victim.jumpClock(ms);
      // A restart brings the true time back.
      return async () => await victim.restart();
    },
  },
];
