// What the registered agents can do, by task type. Pure.
import { type Agent, AgentState } from "../../../gen/mycel/v1/agent_pb.ts";

/** A task type that registered agents offer. Agents that drain are not counted. */
export interface MeshCapability {
  readonly type: string;
  /** What it does, in the words of one of its agents; may be empty. */
  readonly description: string;
  /** The queues from which it is pulled; usually one, named after the type. */
  readonly queues: readonly string[];
  /** How many agents offer it. */
  readonly agents: number;
  /** How many attempts they run at once, whatever their type. */
  readonly concurrency: number;
  /** How many they ran at their last heartbeats, whatever their type. */
  readonly running: number;
}

/** Adds up what agents offer, ordered by type. */
export async function capabilitiesOf(agents: AsyncIterable<Agent>): Promise<ReadonlyMap<string, MeshCapability>> {
  const found = new Map<string, MeshCapability>();
  for await (const agent of agents) {
    if (agent.state !== AgentState.ACTIVE) continue;
    for (const { type, queue, description } of agent.capabilities) {
      const before = found.get(type);
      const queues = new Set(before?.queues).add(queue === "" ? type : queue);
      found.set(type, {
        type,
        description: before?.description || description,
        queues: [...queues],
        agents: (before?.agents ?? 0) + 1,
        concurrency: (before?.concurrency ?? 0) + agent.concurrency,
        running: (before?.running ?? 0) + agent.running,
      });
    }
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}
