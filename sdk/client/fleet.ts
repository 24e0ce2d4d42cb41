// Watches the agents over as many connections as it takes: after a reconnection only what really changed is told.
import { equals } from "@bufbuild/protobuf";
import { type Agent, AgentSchema } from "../../gen/mycel/v1/agent_pb.ts";
import { AgentChange, type WatchAgentsResponse } from "../../gen/mycel/v1/agent_service_pb.ts";
import { MycelError, abortError } from "./mycel-error.ts";
import { pause } from "../../lib/time/pause.ts";
import { delayBeforeTry, Refusals } from "./retry.ts";

/** One change of the fleet. */
export type FleetEvent =
  /** The agent is registered, changed, deregistered, or its heartbeats stopped. */
  | { readonly kind: "added" | "updated" | "removed" | "lost"; readonly agent: Agent }
  /** Everything that was registered when the watch began has been told. Once. */
  | { readonly kind: "synced" };

/** What {@link watchFleet} needs. */
export interface WatchFleetOptions {
  readonly open: (signal: AbortSignal) => AsyncIterable<WatchAgentsResponse>;
  readonly servers: number;
  readonly maximumTries: number;
  readonly reconnectTimeoutMs: number;
  /** Whether what was refused for its credential may be accepted with the next one. */
  readonly renews: boolean;
  /** Aborted by the caller or with the client. */
  readonly signals: readonly AbortSignal[];
}

/** Tells the agents, then every change. Ends only by its signal, or when no server can be reached any more. */
export async function* watchFleet(options: WatchFleetOptions): AsyncGenerator<FleetEvent, void, undefined> {
  const known = new Map<string, Agent>();
  let synced = false;
  let failures = 0;
  const refusals = new Refusals(options.renews);
  // A fleet in which nothing changes is silent for days: only from when a watch breaks does it count.
  let brokenMs: number | undefined;
  for (;;) {
    const stop = new AbortController();
    // Agents told on this connection; those known but not told until SYNCED are gone.
    const told = new Set<string>();
    try {
      for await (const { change, agent } of options.open(AbortSignal.any([stop.signal, ...options.signals]))) {
        failures = 0;
        refusals.clear();
        brokenMs = undefined;
        if (change === AgentChange.SYNCED) {
          for (const [agentId, gone] of known) {
            if (!told.has(agentId) && known.delete(agentId)) yield { kind: "lost", agent: gone };
          }
          if (!synced) yield { kind: "synced" };
          synced = true;
        } else if (agent !== undefined) {
          told.add(agent.agentId);
          const event = eventFor(change, agent, known);
          if (event !== undefined) yield event;
        }
      }
      throw new MycelError("unavailable", "the watch of agents ended", { reason: "CONNECTION_LOST" });
    } catch (error) {
      const aborted = options.signals.find((signal) => signal.aborted);
      if (aborted !== undefined) throw abortError(aborted);
      if (!(error instanceof MycelError)) throw error;
      if (error.code !== "unavailable" && !refusals.mayGoOn(error.code)) throw error;
      failures += 1;
      brokenMs ??= performance.now();
      const delayMs = delayBeforeTry({ kind: "lost" }, failures, options.servers, Math.random());
      if (performance.now() + delayMs - brokenMs > options.reconnectTimeoutMs) throw error;
      if (!synced && failures >= options.maximumTries) throw error;
      await pause(delayMs, ...options.signals);
    } finally {
      stop.abort();
    }
  }
}

function eventFor(change: AgentChange, agent: Agent, known: Map<string, Agent>): FleetEvent | undefined {
  if (change === AgentChange.REMOVED || change === AgentChange.LOST) {
    known.delete(agent.agentId);
    return { kind: change === AgentChange.REMOVED ? "removed" : "lost", agent };
  }
  const before = known.get(agent.agentId);
  known.set(agent.agentId, agent);
  if (before === undefined) return { kind: "added", agent };
  // When it was last heard of is no change: it is another time after every reconnection.
  const same = equals(AgentSchema, { ...before, heartbeatTime: agent.heartbeatTime }, agent);
  return same ? undefined : { kind: "updated", agent };
}
