// What an explanation's reasons say in words, one sentence each.

import type { Reason } from "../core/explain.ts";

/** A reason as one sentence, without a full stop. Times stand in it as ISO 8601 in UTC. */
export function sentenceOf(reason: Reason): string {
  switch (reason.code) {
    case "no_capable_agent": {
      const { queue, type, draining, others } = reason;
      const none = `no registered agent takes tasks of type ${type} from queue ${queue}`;
      const known = [
        draining > 0 ? `${count(draining, "agent")} that could ${draining === 1 ? "is" : "are"} draining` : "",
        others > 0 ? `${count(others, "agent")} of that queue ${others === 1 ? "lacks" : "lack"} the type` : "",
      ].filter((part) => part !== "");
      return known.length === 0 ? none : `${none} (${known.join("; ")})`;
    }
    case "agents_busy": {
      const { agents, slots, running } = reason;
      const who = agents === 1 ? "the only agent that can run it is" : `all ${agents} agents that can run it are`;
      return `${who} busy: ${running} of ${slots} slots taken`;
    }
    case "queue_paused": {
      const until = reason.untilMs === undefined ? "until it is resumed" : `until ${time(reason.untilMs)}`;
      return `queue ${reason.queue} is paused since ${time(reason.sinceMs)}, ${until}${because(reason.reason)}`;
    }
    case "behind_others":
      return `${count(reason.ahead, "task")} ${reason.ahead === 1 ? "comes" : "come"} first`;
    case "scheduled":
      return `it waits for its start time, ${time(reason.untilMs)}`;
    case "backing_off": {
      const { attempt, nextAttempt, untilMs, failure } = reason;
      const why = failure === undefined ? `attempt ${attempt} put it off` : `attempt ${attempt} failed`;
      return `${why}${because(failed(failure))}; attempt ${nextAttempt} comes at ${time(untilMs)}`;
    }
    case "running": {
      const { agentId, attempt, sinceMs, untilMs } = reason;
      const since = sinceMs === undefined ? "" : ` since ${time(sinceMs)}`;
      const until = untilMs === undefined ? "" : `; the attempt may last until ${time(untilMs)}`;
      return `agent ${agentId} runs attempt ${attempt}${since}${until}`;
    }
    case "agent_lost": {
      const { agentId, attempt, untilMs } = reason;
      const lost = `agent ${agentId}, which ran attempt ${attempt}, is no longer registered`;
      return `${lost}; the task goes to another one when the lease ends, by ${time(untilMs)} at the latest`;
    }
    case "delivered":
      return reason.handedBack
        ? "an agent handed it back; the next one with a free slot gets it"
        : "an agent was given it and has not reported its start; if the agent is lost, another gets it when the lease ends";
    case "next": {
      const { agents, slots, running } = reason;
      return `nothing stands in its way: ${count(slots - running, "slot")} of ${count(agents, "agent")} free`;
    }
    case "ended": {
      const { state, sinceMs, failure, cancelReason, redrivenBy } = reason;
      const at = sinceMs === undefined ? "" : ` at ${time(sinceMs)}`;
      const why = state === "canceled" ? cancelReason : failed(failure);
      return `it ${ENDS[state] ?? "has ended"}${at}${because(why)}${redrivenBy === "" ? "" : `; redriven as ${redrivenBy}`}`;
    }
  }
}

const ENDS: Readonly<Record<string, string>> = {
  completed: "was completed",
  failed: "failed for good",
  canceled: "was canceled",
  timed_out: "timed out",
};

function failed(failure: { readonly reason: string; readonly message: string } | undefined): string {
  return failure === undefined ? "" : `${failure.reason}: ${failure.message}`;
}

function because(why: string): string {
  return why === "" ? "" : ` (${why})`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
