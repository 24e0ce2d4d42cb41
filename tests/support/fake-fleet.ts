// The agents of the fake coordinator: listed, and watched while a test lets them come and go. In memory.
import { once } from "node:events";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Agent, AgentSchema, AgentState } from "../../gen/mycel/v1/agent_pb.ts";
import {
  AgentChange,
  type WatchAgentsResponse,
  WatchAgentsResponseSchema,
} from "../../gen/mycel/v1/agent_service_pb.ts";

/** Agents that can be watched. */
export interface FakeFleet {
  readonly agents: Map<string, Agent>;
  /** Tells the watchers of a change. */
  tell(change: AgentChange, agent: Agent): void;
  /** Answers WatchAgents until the signal is aborted. */
  watch(signal: AbortSignal): AsyncGenerator<WatchAgentsResponse>;
}

/** Makes a fleet of these agents. */
export function createFakeFleet(agents: Map<string, Agent>): FakeFleet {
  const watchers = new Set<(event: WatchAgentsResponse) => void>();
  return {
    agents,
    tell(change, agent) {
      if (change === AgentChange.LOST || change === AgentChange.REMOVED) agents.delete(agent.agentId);
      else agents.set(agent.agentId, agent);
      for (const hear of watchers) hear(create(WatchAgentsResponseSchema, { change, agent }));
    },
    async *watch(signal) {
      const queue: WatchAgentsResponse[] = [...agents.values()].map((agent) =>
        create(WatchAgentsResponseSchema, { change: AgentChange.ADDED, agent }),
      );
      queue.push(create(WatchAgentsResponseSchema, { change: AgentChange.SYNCED }));
      let news = Promise.withResolvers<void>();
      const hear = (event: WatchAgentsResponse): void => {
        queue.push(event);
        news.resolve();
      };
      watchers.add(hear);
      try {
        while (!signal.aborted) {
          yield* queue.splice(0);
          await Promise.race([news.promise, signal.aborted ? undefined : once(signal, "abort")]);
          news = Promise.withResolvers<void>();
        }
      } finally {
        watchers.delete(hear);
      }
    },
  };
}

/** An agent as ListAgents shows it. */
export function fakeAgent(agentId: string, types: readonly string[] = ["echo"], running = 0): Agent {
  return create(AgentSchema, {
    agentId,
    name: "worker",
    version: "1.2.3",
    capabilities: types.map((type) => ({ type, queue: type })),
    concurrency: 4,
    running,
    state: AgentState.ACTIVE,
    registerTime: { seconds: 1_700_000_000n },
    heartbeatTime: timestampFromDate(new Date()),
  });
}
