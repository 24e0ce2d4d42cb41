// Why a task is where it is, and what happens next: a rule over facts that somebody else has gathered. What it says is for people and
// their screens; nothing is decided from it.

import { decideAttemptLimit } from "./expire.ts";
import { isPaused, type QueuePause } from "./queue-pause.ts";
import { type Failure, openDeadlines, scheduleMs, stateOf, type TaskView } from "./task.ts";
import { isTerminal, type TaskState } from "./task-state.ts";

/** An agent, as far as it matters here. */
export interface ExplainAgent {
  readonly agentId: string;
  /** How many attempts it runs at once. */
  readonly concurrency: number;
  /** How many it ran at its last heartbeat. */
  readonly running: number;
  readonly draining: boolean;
  readonly capabilities: readonly { readonly type: string; readonly queue: string }[];
}

/** What the broker knows of the lane in which a task waits. */
export interface ExplainLane {
  /** The stream sequence up to which everything was given to an agent once. */
  readonly deliveredSequence: number;
  /** How many tasks of the same priority wait before it. */
  readonly before: number;
  /** How many tasks of higher priorities wait in the same queue. */
  readonly higher: number;
}

/** Everything that an explanation is made from. */
export interface ExplainFacts {
  readonly view: TaskView;
  readonly type: string;
  /** The queue in which the task waits, or will wait: never a system queue. */
  readonly queue: string;
  readonly agents: readonly ExplainAgent[];
  readonly pause: QueuePause | undefined;
  /** Undefined if the lane is not there, or was not asked about. */
  readonly lane: ExplainLane | undefined;
  /** When the last event was written. */
  readonly eventMs: number | undefined;
  /** Why the last attempt, or the task, failed. */
  readonly failure: Pick<Failure, "reason" | "message"> | undefined;
  readonly cancelReason: string;
  /** The task that redrove this one; empty if none did. */
  readonly redrivenBy: string;
  readonly leaseMs: number;
  readonly nowMs: number;
}

/** How many agents can run a task, and how much they have to do. */
export interface Capacity {
  readonly agents: number;
  readonly slots: number;
  readonly running: number;
}

/** One reason. Times are in milliseconds since 1970. */
export type Reason =
  | {
      readonly code: "no_capable_agent";
      readonly queue: string;
      readonly type: string;
      /** How many could run it, but are draining. */
      readonly draining: number;
      /** How many pull from its queue, but do not have its type. */
      readonly others: number;
    }
  | ({ readonly code: "agents_busy" } & Capacity)
  | ({ readonly code: "queue_paused"; readonly queue: string } & QueuePause)
  | { readonly code: "behind_others"; readonly ahead: number }
  | { readonly code: "scheduled"; readonly untilMs: number }
  | {
      readonly code: "backing_off";
      readonly attempt: number;
      readonly nextAttempt: number;
      readonly untilMs: number;
      readonly failure: ExplainFacts["failure"];
    }
  | {
      readonly code: "running";
      readonly agentId: string;
      readonly attempt: number;
      readonly sinceMs: number | undefined;
      readonly untilMs: number | undefined;
    }
  | {
      readonly code: "agent_lost";
      readonly agentId: string;
      readonly attempt: number;
      readonly sinceMs: number | undefined;
      readonly untilMs: number;
    }
  | { readonly code: "delivered"; readonly handedBack: boolean }
  | ({ readonly code: "next" } & Capacity)
  | {
      readonly code: "ended";
      readonly state: TaskState;
      readonly attempt: number;
      readonly agentId: string;
      readonly sinceMs: number | undefined;
      readonly failure: ExplainFacts["failure"];
      readonly cancelReason: string;
      readonly redrivenBy: string;
    };

/** A time limit that is running. */
export interface RunningDeadline {
  readonly kind: "schedule_to_start" | "start_to_close" | "schedule_to_close";
  readonly atMs: number;
  /** Whether the task ends then; otherwise the attempt does. */
  readonly endsTask: boolean;
}

/** Why a task is where it is, the most telling reason first, and the time limit that passes next. */
export interface Explanation {
  readonly reasons: readonly [Reason, ...Reason[]];
  readonly deadline: RunningDeadline | undefined;
}

/** Explains a task. */
export function explain(facts: ExplainFacts): Explanation {
  return { reasons: reasonsOf(facts), deadline: nextDeadline(facts.view) };
}

function reasonsOf(facts: ExplainFacts): Explanation["reasons"] {
  const { view, nowMs } = facts;
  const { last } = view;
  const state = stateOf(view);
  if (isTerminal(state)) return [ended(facts, state)];
  const standing = [...paused(facts), ...nobody(facts)];
  switch (state) {
    case "scheduled":
      return [{ code: "scheduled", untilMs: scheduleMs(view) }, ...standing];
    case "backing_off": {
      const { attempt = 0, nextAttempt = 0, nextAttemptMs: untilMs = nowMs } = last ?? {};
      return [{ code: "backing_off", attempt, nextAttempt, untilMs, failure: facts.failure }, ...standing];
    }
    case "working":
      return held(facts) ?? [lost(facts), ...standing];
    default:
      return waiting(facts);
  }
}

function waiting(facts: ExplainFacts): Explanation["reasons"] {
  const { view, lane } = facts;
  const capacity = capacityOf(facts);
  const busy: Reason[] =
    capacity.agents > 0 && capacity.running >= capacity.slots ? [{ code: "agents_busy", ...capacity }] : [];
  if (lane !== undefined && view.dispatch.sequence <= lane.deliveredSequence) {
    // An agent that holds it unstarted is itself busy: that would say nothing. What was handed back waits as any other.
    const handedBack = view.last?.state === "submitted" && view.last.sequence > view.dispatch.sequence;
    return [{ code: "delivered", handedBack }, ...paused(facts), ...nobody(facts), ...(handedBack ? busy : [])];
  }
  const ahead = (lane?.before ?? 0) + (lane?.higher ?? 0);
  const behind: Reason[] = ahead > 0 ? [{ code: "behind_others", ahead }] : [];
  const [first, ...others] = [...paused(facts), ...nobody(facts), ...busy, ...behind];
  return first === undefined ? [{ code: "next", ...capacity }] : [first, ...others];
}

function paused({ pause, queue, nowMs }: ExplainFacts): Reason[] {
  return isPaused(pause, nowMs) ? [{ code: "queue_paused", queue, ...pause }] : [];
}

function nobody(facts: ExplainFacts): Reason[] {
  const { queue, type, agents } = facts;
  if (capacityOf(facts).agents > 0) return [];
  const draining = agents.filter((agent) => canRun(agent, facts)).length;
  const others = agents.filter(({ capabilities }) => capabilities.some((one) => one.queue === queue)).length - draining;
  return [{ code: "no_capable_agent", queue, type, draining, others }];
}

function capacityOf(facts: ExplainFacts): Capacity {
  const able = facts.agents.filter((agent) => !agent.draining && canRun(agent, facts));
  return {
    agents: able.length,
    slots: able.reduce((sum, { concurrency }) => sum + concurrency, 0),
    running: able.reduce((sum, { running }) => sum + running, 0),
  };
}

function canRun({ capabilities }: ExplainAgent, { type, queue }: ExplainFacts): boolean {
  return capabilities.some((one) => one.type === type && one.queue === queue);
}

/** The agent at work, if it is registered. */
function held({ view, agents }: ExplainFacts): Explanation["reasons"] | undefined {
  const { agentId = "", attempt = 0, attemptStartMs: sinceMs } = view.last ?? {};
  if (!agents.some((agent) => agent.agentId === agentId)) return undefined;
  const untilMs = sinceMs === undefined ? undefined : sinceMs + view.timeouts.startToCloseMs;
  return [{ code: "running", agentId, attempt, sinceMs, untilMs }];
}

function lost({ view, leaseMs, nowMs }: ExplainFacts): Reason {
  const { agentId = "", attempt = 0, attemptStartMs: sinceMs } = view.last ?? {};
  return { code: "agent_lost", agentId, attempt, sinceMs, untilMs: nowMs + leaseMs };
}

function ended(facts: ExplainFacts, state: TaskState): Reason {
  const { view, eventMs: sinceMs, failure, cancelReason, redrivenBy } = facts;
  const { attempt = 0, agentId = "" } = view.last ?? {};
  return { code: "ended", state, attempt, agentId, sinceMs, failure, cancelReason, redrivenBy };
}

function nextDeadline(view: TaskView): RunningDeadline | undefined {
  const state = stateOf(view);
  if (isTerminal(state)) return undefined;
  const running: RunningDeadline[] = openDeadlines(view).map((deadline) => ({ ...deadline, endsTask: true }));
  const startMs = state === "working" ? view.last?.attemptStartMs : undefined;
  if (startMs !== undefined) {
    // What the mesh would do of itself, long after.
    const decision = decideAttemptLimit(view, Number.POSITIVE_INFINITY, 0);
    const endsTask = decision.kind === "write" && isTerminal(decision.event.state);
    running.push({ kind: "start_to_close", atMs: startMs + view.timeouts.startToCloseMs, endsTask });
  }
  return running.toSorted((a, b) => a.atMs - b.atMs)[0];
}
