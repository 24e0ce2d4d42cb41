// Sees everything that is stored and everything that anybody is told, and says when a promise is broken. It knows the promises of
// DESIGN's invariants, not how the product keeps them.
import type { TaskEvent } from "../../../gen/mycel/v1/task_log_pb.ts";
import { canFollow, isTerminal, type TaskState } from "../../../lib/core/task-state.ts";
import { stateFromWire } from "../../../lib/wire/state-codec.ts";
import { parseTaskSubject, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { decodeDispatch, decodeEvent } from "../../../lib/wire/task-codec.ts";
import type { MemoryMessage } from "../broker/memory-stream.ts";

/** The promises, by their number in the invariants of the architecture. */
export type Invariant =
  | "1: what was acknowledged is never lost"
  | "2: every task ends exactly once, and the end never changes"
  | "3: at most one attempt moves a task, and a fenced one changes nothing"
  | "4: every reader gets every event and output once, in order"
  | "5: attempts never exceed the policy"
  | "everybody is told the truth"
  | "nothing fails in a way that nobody foresaw";

/** A promise that was broken. */
export class InvariantBroken extends Error {
  override readonly name = "InvariantBroken";
  readonly invariant: Invariant;

  constructor(invariant: Invariant, message: string) {
    super(`${message} [${invariant}]`);
    this.invariant = invariant;
  }
}

/** An execution of a handler, as the agent itself knows it. */
export interface Execution {
  readonly taskId: string;
  readonly agentId: string;
  readonly dispatchSequence: number;
  /** Names the delivery within the consumers of its queue, as operation ids have it. */
  readonly deliveryId: string;
  readonly fence: number;
  /** Whether the agent believes that it is at work, or has just been. */
  readonly atWork: boolean;
  /** Whether a handler started, and its end did not give the attempt back. */
  counts: boolean;
}

/** What the log says of a task. */
export interface TaskHistory {
  readonly taskId: string;
  readonly maximumAttempts: number;
  readonly copy: string;
  /** The sequence of its submission. */
  readonly first: number;
  /** Whether it was purged. */
  gone: boolean;
  readonly events: {
    readonly event: TaskEvent;
    readonly state: TaskState;
    readonly sequence: number;
    readonly storeMs: number;
  }[];
}

/** Watches one run. */
export class Witness {
  readonly histories: Map<string, TaskHistory> = new Map();
  readonly #executions: () => Iterable<Execution>;
  readonly #stands: (taskId: string) => boolean;
  readonly #acknowledged = new Map<string, string>();
  readonly #canceled = new Set<string>();
  readonly #purged = new Set<string>();
  /** Names under which something was written after their task was purged. */
  readonly #strayed = new Set<string>();
  readonly #completed = new Map<string, string>();
  #broken: InvariantBroken | undefined;

  /** `stands` says whether the log still has the definition of a task. */
  constructor(executions: () => Iterable<Execution>, stands: (taskId: string) => boolean) {
    this.#executions = executions;
    this.#stands = stands;
  }

  /** Takes note of a broken promise; the first one counts. */
  broken(invariant: Invariant, message: string): void {
    this.#broken ??= new InvariantBroken(invariant, message);
  }

  /** Throws the first promise that was broken. */
  throwIfBroken(): void {
    if (this.#broken !== undefined) throw this.#broken;
  }

  /** A coordinator said yes to a submission; `copy` tells submissions of one id apart, `revision` says what it answered about. */
  acknowledged(taskId: string, copy: string, revision: number): void {
    if (this.#strayed.has(taskId)) return;
    // It may have ended and been purged before its coordinator could answer.
    const history = this.histories.get(taskId);
    if (history !== undefined && (history.gone || revision < history.first)) return;
    const before = this.#acknowledged.get(taskId);
    if (before !== undefined && before !== copy) {
      this.broken("everybody is told the truth", `two different submissions of ${taskId} were acknowledged`);
    }
    this.#acknowledged.set(taskId, copy);
    this.#mustStand(taskId, copy);
  }

  /** When a task has ended, by the broker's clock; undefined as long as it has not. */
  endMs(taskId: string): number | undefined {
    const last = this.histories.get(taskId)?.events.at(-1);
    return last !== undefined && isTerminal(last.state) ? last.storeMs : undefined;
  }

  /** Messages were removed: those on a filter by a purge, or one. Only what has ended may be purged. */
  onRemoved(filter: string | undefined): void {
    for (const history of this.histories.values()) {
      const { taskId, gone, events } = history;
      // Its outputs go first.
      if (filter?.split(".").includes(taskId) === true) this.#purged.add(taskId);
      if (!this.#purged.has(taskId)) continue;
      if (gone || this.#strayed.has(taskId) || this.#stands(taskId)) continue;
      const state = events.at(-1)?.state;
      if (state === undefined || !isTerminal(state)) {
        this.broken("1: what was acknowledged is never lost", `${taskId} was purged before it ended`);
      }
      history.gone = true;
      this.#acknowledged.delete(taskId);
      this.#canceled.delete(taskId);
      this.#completed.delete(taskId);
    }
  }

  /** Whether anything of a task, or of an earlier one of its name, was purged. */
  wasPurged(taskId: string): boolean {
    return this.#purged.has(taskId) || this.#strayed.has(taskId);
  }

  /** Whether a submission was acknowledged. */
  isAcknowledged(taskId: string): boolean {
    return this.#acknowledged.has(taskId);
  }

  /** A coordinator said that a task is canceled. */
  canceled(taskId: string): void {
    if (this.histories.get(taskId)?.gone === true) return;
    this.#canceled.add(taskId);
    const state = this.histories.get(taskId)?.events.at(-1)?.state;
    if (state !== "canceled") {
      this.broken(
        "everybody is told the truth",
        `${taskId} was said to be canceled and is ${state ?? "without events"}`,
      );
    }
  }

  /** An agent was told that its completion stands; `by` is how its operations begin. */
  completed(taskId: string, by: string, dispatchSequence: number): void {
    const history = this.histories.get(taskId);
    if (history === undefined || history.gone || dispatchSequence < history.first) return;
    if (this.#strayed.has(taskId)) return;
    const before = this.#completed.get(taskId) ?? by;
    if (before !== by) {
      this.broken(
        "3: at most one attempt moves a task, and a fenced one changes nothing",
        `both ${before} and ${by} were told that they completed ${taskId}`,
      );
    }
    this.#completed.set(taskId, by);
    const last = history.events.at(-1);
    if (last?.state !== "completed" || !last.event.operationId.startsWith(by)) {
      this.broken("everybody is told the truth", `${by} was told that it completed ${taskId}, which is not so`);
    }
  }

  /** The broker has stored a message. */
  onStored(stream: string, message: MemoryMessage): void {
    if (stream !== TASKS_STREAM) return;
    const subject = parseTaskSubject(message.subject);
    if (subject === undefined || this.#strayed.has(subject.taskId)) return;
    if (subject.kind === "dispatch") this.#onDispatch(subject.taskId, message);
    if (subject.kind === "event") this.#onEvent(subject.taskId, message);
  }

  /** What must hold after every step. */
  check(): void {
    const counts = new Map<string, number>();
    const holders = new Map<string, number>();
    for (const { taskId, counts: counted, atWork, fence, dispatchSequence } of this.#executions()) {
      const history = this.histories.get(taskId);
      if (!counted || history === undefined || history.gone || dispatchSequence < history.first) continue;
      if (this.#strayed.has(taskId)) continue;
      counts.set(taskId, (counts.get(taskId) ?? 0) + 1);
      const last = history.events.at(-1);
      if (atWork && fence === (last?.sequence ?? 0) && !(last !== undefined && isTerminal(last.state))) {
        holders.set(taskId, (holders.get(taskId) ?? 0) + 1);
      }
    }
    for (const [taskId, count] of counts) {
      const limit = this.histories.get(taskId)?.maximumAttempts ?? 0;
      if (count > limit) {
        this.broken("5: attempts never exceed the policy", `${taskId} ran ${count} times, and ${limit} are allowed`);
      }
    }
    for (const [taskId, count] of holders) {
      if (count > 1) {
        this.broken(
          "3: at most one attempt moves a task, and a fenced one changes nothing",
          `${count} agents hold the token of ${taskId}`,
        );
      }
    }
    this.throwIfBroken();
  }

  /** What must hold once everybody had time to finish. `ends` says whether a task has to have ended by now. */
  checkEnd(ends: (taskId: string) => boolean): void {
    for (const [taskId, copy] of this.#acknowledged) if (!this.#strayed.has(taskId)) this.#mustStand(taskId, copy);
    for (const { taskId, events, gone } of this.histories.values()) {
      const state = events.at(-1)?.state;
      if (!gone && !this.#strayed.has(taskId) && ends(taskId) && (state === undefined || !isTerminal(state))) {
        this.broken(
          "2: every task ends exactly once, and the end never changes",
          `${taskId} is ${state ?? "without events"} when nothing happens any more`,
        );
      }
    }
    for (const taskId of this.#canceled) {
      if (!this.#strayed.has(taskId) && this.histories.get(taskId)?.events.at(-1)?.state !== "canceled") {
        this.broken("everybody is told the truth", `${taskId} was said to be canceled and has another end`);
      }
    }
    this.throwIfBroken();
  }

  #mustStand(taskId: string, copy: string): void {
    const history = this.histories.get(taskId);
    if (history === undefined || !this.#stands(taskId)) {
      this.broken("1: what was acknowledged is never lost", `${taskId} was acknowledged and is not in the log`);
    } else if (history.copy !== copy) {
      this.broken("everybody is told the truth", `${taskId} stands with another content than was acknowledged`);
    }
  }

  #onDispatch(taskId: string, { body, sequence }: MemoryMessage): void {
    const dispatch = decodeDispatch(body);
    const known = this.histories.get(taskId);
    const maximumAttempts = dispatch.task?.retryPolicy?.maximumAttempts ?? 0;
    if (known === undefined || known.gone) {
      const copy = dispatch.task?.labels["copy"] ?? "";
      const history = { taskId, maximumAttempts, copy, first: sequence, gone: false, events: [] };
      this.histories.set(taskId, history);
      return;
    }
    if ((dispatch.task?.labels["copy"] ?? "") !== known.copy) {
      this.broken("1: what was acknowledged is never lost", `${taskId} was written over by another submission`);
    }
    if (dispatch.attempt > known.maximumAttempts) {
      this.broken(
        "5: attempts never exceed the policy",
        `attempt ${dispatch.attempt} of ${taskId} is dispatched, and ${known.maximumAttempts} are allowed`,
      );
    }
  }

  #onEvent(taskId: string, { body, sequence, storeMs }: MemoryMessage): void {
    const history = this.histories.get(taskId);
    const event = decodeEvent(body);
    if (history !== undefined && this.#purged.has(taskId) && this.#isLeftover(history, event)) {
      this.#strayed.add(taskId);
      return;
    }
    if (history === undefined || history.gone) {
      this.broken("1: what was acknowledged is never lost", `${taskId} has an event and no submission`);
      return;
    }
    const state = stateFromWire(event.state);
    if (state === undefined) {
      this.broken("nothing fails in a way that nobody foresaw", `${taskId} is in state ${event.state}`);
      return;
    }
    const last = history.events.at(-1);
    this.#checkMove(history, state, event);
    this.#checkHolder(history, event, last?.sequence ?? 0);
    history.events.push({ event, state, sequence, storeMs });
  }

  #checkMove({ taskId, events, maximumAttempts }: TaskHistory, state: TaskState, event: TaskEvent): void {
    const last = events.at(-1);
    if (last !== undefined && isTerminal(last.state)) {
      this.broken(
        "2: every task ends exactly once, and the end never changes",
        `${taskId} is ${last.state}, and becomes ${state}`,
      );
    } else if (last !== undefined && !canFollow(last.state, state)) {
      this.broken("nothing fails in a way that nobody foresaw", `${taskId} goes from ${last.state} to ${state}`);
    }
    if (event.attempt > maximumAttempts || event.attempt < (last?.event.attempt ?? 0)) {
      this.broken(
        "5: attempts never exceed the policy",
        `${taskId} goes from attempt ${last?.event.attempt ?? 0} to ${event.attempt} of ${maximumAttempts}`,
      );
    }
    if (isTerminal(state) && event.nextAttempt !== 0) {
      this.broken("5: attempts never exceed the policy", `${taskId} is ${state}, and its next attempt has a number`);
    }
  }

  /** Whoever settles an attempt must hold the token that was in force until then. */
  #checkHolder({ taskId, first }: TaskHistory, event: TaskEvent, token: number): void {
    const operation = /^([^/]+)\/(\d+)\/(\d+\.\d+)\/\d+\/(\w+)$/.exec(event.operationId);
    const [, agentId, dispatchSequence, deliveryId, kind] = operation ?? [];
    if (operation !== null && Number(dispatchSequence) < first) {
      this.broken(
        "3: at most one attempt moves a task, and a fenced one changes nothing",
        `${event.operationId} is about an earlier task of the name ${taskId}`,
      );
    }
    if (operation === null || kind === "begin") return;
    for (const execution of this.#executions()) {
      const same =
        execution.taskId === taskId &&
        execution.agentId === agentId &&
        execution.dispatchSequence === Number(dispatchSequence) &&
        execution.deliveryId === deliveryId;
      if (!same) continue;
      if (execution.fence !== token) {
        this.broken(
          "3: at most one attempt moves a task, and a fenced one changes nothing",
          `${event.operationId} counts, with the token ${execution.fence} while ${token} is in force`,
        );
      }
      if (kind === "snooze" || kind === "hand_back") execution.counts = false;
      return;
    }
  }

  /**
   * Whether an event is the completion of a task that was purged. Without a token, and within the first second of its attempt, it is not
   * looked up: nobody promises anything if a work item was left over from a task that has ended, and is run in the very second in which
   * that is purged. What uses the name next is not judged then.
   */
  #isLeftover({ taskId, gone, first }: TaskHistory, { operationId }: TaskEvent): boolean {
    const [, dispatchSequence] = operationId.split("/");
    const purged = gone || Number(dispatchSequence) < first || !this.#stands(taskId);
    return purged && operationId.endsWith("/complete");
  }
}
