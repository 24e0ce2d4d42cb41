// One task, the agents that work on it and the coordinators between, in whatever order a sequence of numbers says. Agents keep to the
// protocol but crash, stall and repeat themselves; requests come late and twice; answers get lost; coordinators die half-way.
import { expect } from "vitest";
import { deadlinesOf, fenceOf, type LastDispatch, stateOf } from "../../../lib/core/task.ts";
import { isTerminal, type TaskState } from "../../../lib/core/task-state.ts";
import { aFailure } from "./views.ts";
import {
  type Answer,
  answerReport,
  armDelayed,
  cancelTask,
  reactToTimer,
  type SentReport,
  type Surroundings,
  type TimerName,
} from "./simulated-coordinator.ts";
import { SimulatedLog, type Submission, type WorkItem } from "./simulated-log.ts";

/** What an agent does with one delivery. */
interface Run {
  readonly agentId: string;
  readonly dispatch: LastDispatch;
  readonly deliveries: number;
  /** Whether the agent does not trust the delivery to be a first one. */
  readonly suspect: boolean;
  phase: "held" | "asking" | "running" | "settling" | "over";
  attempt: number;
  fence: number;
  startMs: number | undefined;
  begun: boolean;
  /** What was reported and not answered. */
  report: SentReport | undefined;
  /** Whether a handler started whose end does not give the attempt back. */
  counts: boolean;
}

interface Work {
  readonly steps: Generator<undefined, Answer | undefined>;
  readonly onEnd: (answer: Answer | undefined) => void;
  readonly onCrash: () => void;
}

const AGENTS = ["a", "b", "c"];
const LEASE_MS = 30_000;
const MAX_WORK = 6;
const OUTCOMES = ["complete", "fail", "fail_for_good", "retry_after", "snooze", "hand_back"] as const;

/** The mesh of one task. */
export class SimulatedMesh {
  readonly log: SimulatedLog;
  readonly #timers = new Map<TimerName, number>();
  readonly #submission: Submission;
  readonly #at: Surroundings;
  readonly #runs: Run[] = [];
  readonly #work: Work[] = [];
  readonly #fired: TimerName[] = [];
  #unarmed: boolean;
  #nowMs: number;
  #random = 1;
  #operations = 0;
  #end: { readonly state: TaskState; readonly sequence: number } | undefined;
  #faulty = true;

  constructor(submission: Submission) {
    this.#submission = submission;
    this.#nowMs = submission.createMs;
    for (const { kind, atMs } of deadlinesOf(submission)) this.#timers.set(kind, atMs);
    this.log = new SimulatedLog(submission, () => this.#below(3));
    this.#unarmed = submission.startMs !== undefined;
    this.#at = {
      log: this.log,
      timers: this.#timers,
      now: () => this.#nowMs,
      random: () => this.#below(1_000) / 1_000,
      signal: (agentId, attempt) => this.#signal(agentId, attempt),
      onForgiven: (report) => this.#forgive(report),
      newOperationId: () => `operation-${(this.#operations += 1)}`,
    };
  }

  /** The state of the task. */
  get state(): TaskState {
    return stateOf(this.log.read());
  }

  /** How many handlers were started and not given back. */
  get executions(): number {
    return this.#runs.filter(({ counts }) => counts).length;
  }

  /** Does one of the things that can happen now, faults included. */
  step(choice: number): void {
    this.#random = choice + 1;
    const actions = this.#possible();
    actions[choice % actions.length]?.();
    this.#check();
  }

  /** Ends all faults and lets everybody finish. Returns how many steps it took until nothing more happens. */
  settle(agentsLeft: boolean, maxSteps: number): number {
    this.#faulty = false;
    if (!agentsLeft) for (const run of this.#runs) run.phase = "over";
    for (let steps = 0; steps < maxSteps; steps += 1) {
      if (!this.#lawfulStep(agentsLeft)) return steps;
      this.#check();
    }
    throw new Error(`still at work after ${maxSteps} steps, in state ${this.state}`);
  }

  // ---- what can happen ----

  #possible(): (() => void)[] {
    const actions: (() => void)[] = [
      () => (this.#nowMs += this.#below(20_000)),
      () => (this.#nowMs += this.#below(500)),
    ];
    if (this.#below(12) === 0 && this.#work.length < MAX_WORK) actions.push(() => this.#start(cancelTask(this.#at)));
    for (const work of this.#work) {
      actions.push(...times(4, () => this.#advance(work)));
      actions.push(() => this.#crash(work));
    }
    if (this.#unarmed) actions.push(() => this.#arm());
    for (const name of this.#timers.keys()) actions.push(() => this.#fire(name));
    if (this.#fired.length > 0) actions.push(() => this.#react());
    for (const item of this.log.items.values()) {
      if (item.leased) actions.push(() => (item.leased = false));
      else actions.push(...times(3, () => this.#deliver(item)));
    }
    for (const run of this.#runs) if (run.phase !== "over") actions.push(...this.#agentActions(run));
    return actions;
  }

  #agentActions(run: Run): (() => void)[] {
    const actions: (() => void)[] = [() => (run.phase = "over")];
    if (run.report !== undefined && this.#work.length < MAX_WORK) actions.push(...times(2, () => this.#send(run)));
    if (run.phase === "held") {
      actions.push(...times(3, () => this.#take(run)));
      actions.push(...times(2, () => this.#report(run, "settling", { kind: "hand_back", started: false })));
    }
    if (run.phase === "running" && run.report === undefined) {
      actions.push(...times(2, () => this.#finish(run, OUTCOMES[this.#below(OUTCOMES.length)])));
      if (!run.begun) actions.push(() => this.#report(run, "running", { kind: "begin", redelivery: false }));
    }
    return actions;
  }

  /** One thing that is bound to happen once there are no faults; false if nothing is left. */
  #lawfulStep(agentsLeft: boolean): boolean {
    const [work] = this.#work;
    if (work !== undefined) return done(this.#advance(work));
    if (this.#unarmed) return done(this.#arm());
    if (this.#fired.length > 0) return done(this.#react());
    const run = this.#runs.find(({ phase }) => phase !== "over");
    if (run?.report !== undefined) return done(this.#send(run));
    if (run?.phase === "held") return done(this.#take(run));
    if (run?.phase === "running") return done(this.#finish(run, this.#below(2) === 0 ? "complete" : "fail"));
    if (agentsLeft) {
      for (const item of this.log.items.values()) {
        if (!item.leased) return done(this.#deliver(item));
        this.#nowMs += LEASE_MS;
        item.leased = false;
        return true;
      }
    }
    const [next] = [...this.#timers].sort(([, a], [, b]) => a - b);
    if (next === undefined) return false;
    this.#nowMs = Math.max(this.#nowMs, next[1]);
    return done(this.#fire(next[0]));
  }

  // ---- coordinators ----

  #start(steps: Work["steps"], onEnd: Work["onEnd"] = () => undefined, onCrash: () => void = () => undefined): void {
    this.#work.push({ steps, onEnd, onCrash });
  }

  #advance(work: Work): void {
    const step = work.steps.next();
    if (step.done !== true) return;
    this.#work.splice(this.#work.indexOf(work), 1);
    work.onEnd(step.value);
  }

  #crash(work: Work): void {
    this.#work.splice(this.#work.indexOf(work), 1);
    work.onCrash();
  }

  #arm(): void {
    this.#unarmed = false;
    this.#start(armDelayed(this.#at), undefined, () => (this.#unarmed = true));
  }

  /** In time, late, early, or twice. */
  #fire(name: TimerName): void {
    const atMs = this.#timers.get(name) ?? 0;
    if (this.#faulty && this.#nowMs < atMs) {
      const earlyMs = this.#below(4) === 0 ? this.#below(3_000) : this.#below(300);
      this.#nowMs = Math.max(this.#nowMs, atMs - earlyMs);
    }
    this.#timers.delete(name);
    this.#fired.push(name);
    if (this.#faulty && this.#below(8) === 0) this.#fired.push(name);
  }

  #react(): void {
    const name = this.#fired.shift();
    if (name === undefined) return;
    this.#start(reactToTimer(this.#at, name), undefined, () => this.#fired.push(name));
  }

  // ---- agents ----

  #deliver(item: WorkItem): void {
    item.deliveries += 1;
    item.leased = true;
    this.#runs.push({
      agentId: AGENTS[this.#below(AGENTS.length)] ?? "a",
      dispatch: item.dispatch,
      deliveries: item.deliveries,
      suspect: this.#faulty && this.#below(10) === 0,
      phase: "held",
      attempt: item.dispatch.attempt,
      fence: item.dispatch.fence,
      startMs: undefined,
      begun: false,
      report: undefined,
      counts: false,
    });
  }

  /** Starts at once or asks first, as the protocol has it. */
  #take(run: Run): void {
    const redelivery = run.deliveries !== 1 || run.suspect;
    if (redelivery || run.dispatch.beginRequired) this.#report(run, "asking", { kind: "begin", redelivery });
    else this.#run(run);
  }

  #run(run: Run): void {
    run.phase = "running";
    run.counts = true;
    // Agents' clocks are wrong by up to an hour.
    run.startMs = this.#nowMs + (this.#faulty ? (this.#below(3) - 1) * 3_600_000 : 0);
  }

  #finish(run: Run, outcome: (typeof OUTCOMES)[number] | undefined): void {
    const delayMs = this.#below(10_000);
    const failure = aFailure({ retryable: outcome !== "fail_for_good" });
    if (outcome === "retry_after") this.#report(run, "settling", { kind: "retry_after", delayMs, failure });
    else if (outcome === "snooze") this.#report(run, "settling", { kind: "snooze", delayMs });
    else if (outcome === "hand_back") this.#report(run, "settling", { kind: "hand_back", started: this.#below(4) > 0 });
    else if (outcome === "complete") this.#report(run, "settling", { kind: "complete" });
    else this.#report(run, "settling", { kind: "fail", failure });
  }

  #report(run: Run, phase: Run["phase"], kind: SentReport["kind"]): void {
    const { agentId, dispatch, deliveries, attempt, fence, startMs } = run;
    run.phase = phase;
    run.report = { agentId, sequence: dispatch.sequence, deliveries, attempt, fence, startMs, kind };
    if (this.#work.length < MAX_WORK) this.#send(run);
  }

  #send(run: Run): void {
    const { report } = run;
    if (report === undefined) return;
    this.#start(answerReport(this.#at, report), (answer) => {
      const lost = this.#faulty && this.#below(4) === 0;
      if (!lost && answer !== undefined && run.report === report) this.#hear(run, report, answer);
    });
  }

  #hear(run: Run, report: SentReport, answer: Answer): void {
    if (answer.kind === "unavailable" || run.phase === "over") return;
    run.report = undefined;
    if (answer.kind !== "accepted" || report.kind.kind !== "begin") {
      run.phase = "over";
      return;
    }
    run.fence = answer.fence;
    run.attempt = answer.attempt;
    run.begun = true;
    if (run.phase === "asking") this.#run(run);
  }

  #signal(agentId: string, attempt: number): void {
    if (this.#faulty && this.#below(2) === 0) return;
    for (const run of this.#runs) {
      const meant = run.agentId === agentId && run.attempt === attempt;
      if (meant && (run.phase === "held" || run.phase === "running")) run.phase = "over";
    }
  }

  #forgive({ agentId, sequence, deliveries }: SentReport): void {
    for (const run of this.#runs) {
      const same = run.agentId === agentId && run.dispatch.sequence === sequence && run.deliveries === deliveries;
      if (same) run.counts = false;
    }
  }

  // ---- what must hold after every step ----

  #check(): void {
    const view = this.log.read();
    const { last } = view;
    if (this.#end !== undefined) {
      expect({ state: stateOf(view), sequence: last?.sequence }).toEqual(this.#end);
    } else if (last !== undefined && isTerminal(last.state)) {
      this.#end = { state: last.state, sequence: last.sequence };
    }
    expect(this.executions).toBeLessThanOrEqual(this.#submission.policy.maximumAttempts);
    if (this.#end !== undefined) return;
    const holders = this.#runs.filter(({ phase, fence, counts }) => {
      return counts && (phase === "running" || phase === "settling") && fence === fenceOf(view);
    });
    expect(holders.length).toBeLessThanOrEqual(1);
  }

  /** A number from 0 to below `limit`, that follows from the last choice. */
  #below(limit: number): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * limit);
  }
}

function times(count: number, action: () => void): (() => void)[] {
  return Array.from({ length: count }, () => action);
}

function done(_result: unknown): true {
  return true;
}
