// How busy the agents are that offer a type, as their last heartbeats say: asked of the mesh, and kept for as long as a heartbeat is apart.
import { AgentState } from "../../gen/mycel/v1/agent_pb.ts";
import type { Clock } from "../../lib/core/clock.ts";
import type { MycelClient } from "../client/index.ts";
import { KeptAnswer } from "../client/resilience/kept-answer.ts";

/** Tells the load of the mesh for a type: 0 is idle, 1 is every slot taken. */
export type LoadReader = (type: string) => number | Promise<number>;

const KEPT_MS = 5_000;
// A decision must not take longer than what it decides about.
const TIMEOUT_MS = 2_000;
/** How many types are kept; the names come from callers. */
const MAX_KEPT = 1_000;

/** Makes a reader that asks for the registered agents. Infinity for a type that none of them offers. */
export function agentsLoad(client: Pick<MycelClient, "agents">, clock: Clock): LoadReader {
  const kept = new Map<string, KeptAnswer<number>>();
  return (type) => {
    if (kept.size > MAX_KEPT) kept.clear();
    const answer =
      kept.get(type) ??
      new KeptAnswer(
        () => slotsTaken(client, type),
        () => KEPT_MS,
        () => clock.monotonicMs(),
      );
    kept.set(type, answer);
    return answer.get();
  };
}

async function slotsTaken(client: Pick<MycelClient, "agents">, type: string): Promise<number> {
  let running = 0;
  let slots = 0;
  for await (const agent of client.agents({ type }, { timeoutMs: TIMEOUT_MS })) {
    if (agent.state !== AgentState.ACTIVE) continue;
    running += agent.running;
    slots += agent.concurrency;
  }
  return slots === 0 ? Number.POSITIVE_INFINITY : running / slots;
}
