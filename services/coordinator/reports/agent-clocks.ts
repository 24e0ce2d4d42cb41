// How far agents' clocks are believed. An agent's clock may show anything, and nothing that matters may follow from it: it can save a
// look at the log, never replace one that is needed.

import type { Clock } from "../../../lib/core/clock.ts";
import type { AgentIdentity } from "../../../lib/nats/agent-requests.ts";

/** How long an attempt that nobody recorded may last without being asked whose it is, in milliseconds. The least result_ttl. */
const UNSEEN_MS = 1_000;

/** By how much an agent's clock may be wrong without being distrusted, in milliseconds. */
const SKEW_MS = UNSEEN_MS / 2;

/** How long a clock that was seen to be ahead is distrusted, in milliseconds. */
const DISTRUST_MS = 600_000;

/** What agents' reports show of their clocks. */
export class AgentClocks {
  readonly #clock: Clock;
  /** Agents whose clock is ahead, by when that was seen last on the monotonic clock, the earliest first. */
  readonly #ahead = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Whether an attempt that started at a time of its agent's clock, undefined for no word, has surely lasted for less than UNSEEN_MS. No
   * attempt starts after it was reported: an agent that says so is ahead, and whatever it calls young may have been frozen for long.
   */
  isYoung({ tenant, agentId }: AgentIdentity, startMs: number | undefined): boolean {
    if (startMs === undefined) return false;
    const agent = `${tenant}.${agentId}`;
    const nowMs = this.#clock.monotonicMs();
    const ageMs = this.#clock.now() - startMs;
    this.#forget(nowMs - DISTRUST_MS);
    if (ageMs <= -SKEW_MS) {
      this.#ahead.delete(agent);
      this.#ahead.set(agent, nowMs);
    }
    return Math.abs(ageMs) < SKEW_MS && !this.#ahead.has(agent);
  }

  #forget(untilMs: number): void {
    for (const [agent, seenMs] of this.#ahead) {
      if (seenMs > untilMs) return;
      this.#ahead.delete(agent);
    }
  }
}
