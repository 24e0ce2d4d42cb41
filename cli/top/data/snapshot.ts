// What the dashboard knows of the mesh at one moment. Only types, and what follows from them: nothing is asked or drawn here.
import type { Agent } from "../../../gen/mycel/v1/agent_pb.ts";
import type { DeadLetter } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Metrics } from "../../../gen/mycel/v1/metrics_service_pb.ts";
import type { Queue } from "../../../gen/mycel/v1/queue_pb.ts";
import type { Task } from "../../../gen/mycel/v1/task_pb.ts";
import type { EndpointHealth, TaskCount } from "../../../sdk/client/index.ts";

/** What one part of the mesh told last. */
export interface Told<T> {
  /** What it told last; kept while it is silent. Undefined if it never told anything. */
  readonly value: T | undefined;
  /** Why it told nothing when it was asked last; undefined if it did. */
  readonly error: string | undefined;
  /** Whether the coordinator knows this service at all: older ones may not. */
  readonly served: boolean;
}

/** How an agent is. `lost`: its heartbeats stopped; it is shown a while longer. */
export type AgentCondition = "active" | "draining" | "lost";

/** An agent, with what only the watch of the fleet knows. */
export interface AgentFacts {
  readonly agent: Agent;
  readonly condition: AgentCondition;
}

/** How many tasks a second came and ended at one moment. */
export interface RatePoint {
  readonly submitted: number;
  readonly ended: number;
}

/** What of the mesh is looked at more closely. */
export type Focus =
  | { readonly kind: "agent"; readonly agentId: string }
  | { readonly kind: "queue"; readonly queue: string };

/** The tasks of what is looked at more closely: those that an agent runs, or that wait in a queue. */
export interface Detail {
  readonly focus: Focus;
  readonly tasks: Told<readonly Task[]>;
  /** The queue with its agents' ids; undefined for an agent. */
  readonly queue: Told<Queue> | undefined;
}

/** The mesh at one moment. */
export interface Snapshot {
  /** When it was gathered, in milliseconds since 1970. */
  readonly takenMs: number;
  /** The coordinators in the order of the client's URLs. */
  readonly coordinators: readonly EndpointHealth[];
  /** Since when no coordinator has served, in milliseconds since 1970; undefined while one does. */
  readonly lostSinceMs: number | undefined;
  /** Ordered by id. */
  readonly agents: Told<readonly AgentFacts[]>;
  /** Those that need somebody's eye first: paused, then deep, then by name. */
  readonly queues: Told<readonly Queue[]>;
  /** Tasks that have not ended, by state. */
  readonly open: Told<TaskCount>;
  /** Over the dashboard's window. */
  readonly metrics: Told<Metrics>;
  /** Over the shortest window that there is: what happens now. */
  readonly pulse: Told<Metrics>;
  /** The pulse of this look and of those before, oldest first. */
  readonly history: readonly RatePoint[];
  /** Tasks that failed for good, newest first. */
  readonly failures: Told<readonly DeadLetter[]>;
  /** What is looked at more closely; undefined if nothing is. */
  readonly detail: Detail | undefined;
}

/** A part that was not asked yet. */
export const UNTOLD: Told<never> = { value: undefined, error: undefined, served: true };

/** The snapshot before the first look. */
export function emptySnapshot(takenMs: number): Snapshot {
  return {
    takenMs,
    coordinators: [],
    lostSinceMs: undefined,
    agents: UNTOLD,
    queues: UNTOLD,
    open: UNTOLD,
    metrics: UNTOLD,
    pulse: UNTOLD,
    history: [],
    failures: UNTOLD,
    detail: undefined,
  };
}
