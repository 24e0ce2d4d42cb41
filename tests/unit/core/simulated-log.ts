// A task's log in memory, as strict as the broker: two chains moved by compare-and-set, sequences from one stream. It checks with every
// write what must hold of every log.
import { expect } from "vitest";
import type { EventDraft } from "../../../lib/core/event.ts";
import { DELAYED_QUEUE, WITHDRAWN_QUEUE } from "../../../lib/core/names.ts";
import {
  beginRequiredFor,
  fenceOf,
  type LastDispatch,
  type LastEvent,
  stateOf,
  type TaskView,
} from "../../../lib/core/task.ts";
import { canFollow, isTerminal } from "../../../lib/core/task-state.ts";

/** A task as it is submitted. */
export type Submission = Pick<TaskView, "policy" | "timeouts" | "createMs" | "startMs">;

/** A work item in its queue. */
export interface WorkItem {
  readonly dispatch: LastDispatch;
  deliveries: number;
  /** Whether it is delivered and not acknowledged. */
  leased: boolean;
}

/** The log of one task, and its queue. */
export class SimulatedLog {
  readonly items: Map<number, WorkItem> = new Map();
  readonly #submission: Submission;
  #dispatch: LastDispatch;
  #last: LastEvent | undefined;
  #sequence = 0;
  readonly #otherTraffic: () => number;

  /** Submits the task. `otherTraffic` says how many messages of other tasks come before each write. */
  constructor(submission: Submission, otherTraffic: () => number) {
    this.#submission = submission;
    this.#otherTraffic = otherTraffic;
    const queue = submission.startMs === undefined ? "work" : DELAYED_QUEUE;
    this.#dispatch = this.#newDispatch(queue, 1, 0);
    if (queue !== DELAYED_QUEUE) this.#enqueue(this.#dispatch);
  }

  /** What stands now. */
  read(): TaskView {
    return { ...this.#submission, dispatch: this.#dispatch, last: this.#last };
  }

  /** Writes an event if the last one has this sequence; recognises its own operation. Undefined means a conflict. */
  append(draft: EventDraft, operationId: string, expected: number): number | undefined {
    const view = this.read();
    if (fenceOf(view) !== expected) {
      const { last } = view;
      const own = last?.operationId === operationId && last.state === draft.state && last.attempt === draft.attempt;
      return own ? last.sequence : undefined;
    }
    const { maximumAttempts } = view.policy;
    expect(canFollow(stateOf(view), draft.state), `${stateOf(view)} -> ${draft.state}`).toBe(true);
    if (view.last !== undefined) expect(canFollow(view.last.state, draft.state)).toBe(true);
    expect(draft.attempt).toBeLessThanOrEqual(maximumAttempts);
    expect(draft.attempt).toBeGreaterThanOrEqual(view.last?.attempt ?? 0);
    expect(draft.nextAttempt).toBeLessThanOrEqual(draft.state === "working" ? maximumAttempts + 1 : maximumAttempts);
    if (isTerminal(draft.state)) expect(draft.nextAttempt).toBe(0);
    this.#last = {
      sequence: this.#nextSequence(),
      state: draft.state,
      attempt: draft.attempt,
      nextAttempt: draft.nextAttempt,
      agentId: draft.agentId,
      attemptStartMs: draft.attemptStartMs,
      nextAttemptMs: draft.nextAttemptMs,
      operationId,
      dispatchSequence: draft.dispatchSequence,
      deliveries: draft.deliveries,
    };
    return this.#last.sequence;
  }

  /** Writes a dispatch if the last one has this sequence. */
  dispatch(attempt: number, fence: number, expected: number): void {
    if (this.#dispatch.sequence !== expected) return;
    expect(attempt).toBeLessThanOrEqual(this.#submission.policy.maximumAttempts);
    this.#dispatch = this.#newDispatch("work", attempt, fence);
    this.#enqueue(this.#dispatch);
  }

  /** Takes the work item of an ended task out of its queue. */
  withdraw(dispatch: LastDispatch): void {
    if (this.#dispatch.sequence !== dispatch.sequence || dispatch.queue === WITHDRAWN_QUEUE) return;
    this.#dispatch = { ...dispatch, sequence: this.#nextSequence(), queue: WITHDRAWN_QUEUE };
    this.items.delete(dispatch.sequence);
  }

  #newDispatch(queue: string, attempt: number, fence: number): LastDispatch {
    const beginRequired = beginRequiredFor(this.#submission.policy, attempt);
    return { sequence: this.#nextSequence(), queue, attempt, fence, beginRequired };
  }

  #enqueue(dispatch: LastDispatch): void {
    this.items.set(dispatch.sequence, { dispatch, deliveries: 0, leased: false });
  }

  #nextSequence(): number {
    this.#sequence += 1 + this.#otherTraffic();
    return this.#sequence;
  }
}
