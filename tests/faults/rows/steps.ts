// Coordinators that die between any two of their steps, and messages that are lost or come twice.
import type { TamperRule } from "../mesh/inside/tampering.ts";
import { pause } from "../../../lib/time/pause.ts";
import type { Row } from "../row.ts";

/** A step that does not come within this time is replaced by any. */
const RARE_STEP_MS = 4_000;

/** What can be done to the messages of an agent. */
const AGENT_TAMPERINGS: readonly TamperRule[] = [
  { step: "delivery.task", way: "in", every: 2, how: "again" },
  { step: "delivery.task", way: "in", every: 3, how: "double" },
  { step: "delivery.task", way: "in", every: 5, how: "lose" },
  { step: "report", way: "out", every: 2, how: "double" },
  { step: "report", way: "out", every: 4, how: "lose" },
  { step: "reply", way: "in", every: 6, how: "lose" },
  { step: "signal", way: "in", every: 2, how: "lose" },
  { step: "output", way: "out", every: 3, how: "double" },
];

/** What can be done to the messages of a coordinator. */
const COORDINATOR_TAMPERINGS: readonly TamperRule[] = [
  { step: "ack", way: "out", every: 3, how: "lose" },
  { step: "report-reply", way: "out", every: 4, how: "lose" },
  { step: "report", way: "in", every: 2, how: "double" },
  { step: "event", way: "out", every: 3, how: "double" },
  { step: "event", way: "out", every: 5, how: "lose" },
  { step: "dispatch", way: "out", every: 4, how: "double" },
  { step: "dispatch", way: "out", every: 6, how: "lose" },
  { step: "timer-set", way: "out", every: 4, how: "lose" },
  { step: "delivery.timer", way: "in", every: 2, how: "again" },
  { step: "agent-signal", way: "out", every: 2, how: "lose" },
  { step: "reply", way: "in", every: 9, how: "lose" },
];

/** Steps and messages. */
export const STEP_ROWS: readonly Row[] = [
  {
    name: "coordinator-killed-between-steps",
    about:
      "a coordinator kills itself before, or right after, a chosen one of its steps: a publish, an acknowledgement, an answer, …",
    mesh: {},
    faults: 34,
    short: 2,
    tasksBetween: 400,
    resumes: true,
    inject: async ({ mesh, random, injected }) => {
      const victim = random.pick(mesh.coordinators);
      // What it does now and then, each as likely as what it does all the time.
      const step = random.pick(Object.keys(await victim.steps()).toSorted());
      const when = random.pick(["before", "sent"] as const);
      const at = random.between(1, 12);
      await victim.failAt({ step, when, at });
      const died = victim.exited.then(() => true);
      if (await Promise.race([died, pause(RARE_STEP_MS).then(() => false)])) {
        injected(`${victim.name} dies, ${when}: ${step} ${at}`);
      } else {
        await victim.failAt({ step: "*", when, at: random.between(1, 100) });
        await died;
        injected(`${victim.name} dies, ${when}: any step, for want of ${step}`);
      }
      return () => victim.restart();
    },
  },
  {
    name: "messages-lost-and-doubled",
    about: "messages of an agent and of a coordinator are lost, delivered twice, or delivered again for 2 to 5 s",
    mesh: {},
    faults: 10,
    short: 1,
    inject: async ({ mesh, random, injected, healed, lasting }) => {
      const agent = random.pick(mesh.agents);
      const coordinator = random.pick(mesh.coordinators);
      const ofAgent = random.pick(AGENT_TAMPERINGS);
      const ofCoordinator = random.pick(COORDINATOR_TAMPERINGS);
      const say = ({ step, way, every, how }: TamperRule): string => `${how} every ${every}. ${step} (${way})`;
      injected(`${agent.name}: ${say(ofAgent)}; ${coordinator.name}: ${say(ofCoordinator)}`);
      await agent.tamper(ofAgent);
      await coordinator.tamper(ofCoordinator);
      await lasting(random.between(2_000, 5_000));
      await agent.tamper();
      await coordinator.tamper();
      healed();
      return undefined;
    },
  },
];
