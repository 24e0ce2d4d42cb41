// Agents as docs/agents.md asks for them, in any language: they start at once or ask first, report, repeat what is not answered, stream
// outputs. They also crash, stall, and come back from the dead with a clock that is wrong.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Report,
  type ReportRequest,
  ReportRequestSchema,
  ReportSchema,
  type ReportResult,
} from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import type { Dispatch } from "../../../gen/mycel/v1/task_log_pb.ts";
import { DEFAULT_TENANT } from "../../../lib/core/names.ts";
import type { AgentIdentity } from "../../../lib/nats/agent-requests.ts";
import { MESSAGE_ID } from "../../../lib/wire/headers.ts";
import { encodeOutputBatch } from "../../../lib/wire/output-codec.ts";
import { outputSubject, parseDeliverySubject, parseTaskSubject } from "../../../lib/wire/subjects.ts";
import { decodeDispatch } from "../../../lib/wire/task-codec.ts";
import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { openMemoryPorts, type MemoryPorts, type Wire } from "../broker/memory-ports.ts";
import type { MemoryBroker } from "../broker/memory-broker.ts";
import type { MemoryDelivery } from "../broker/memory-consumer.ts";
import type { Chance } from "./chance.ts";
import type { Action, Process } from "./network.ts";
import type { Faults } from "./scenario.ts";
import type { Execution } from "./witness.ts";

/** What an agent does with one delivery. */
interface Run extends Execution {
  readonly delivery: MemoryDelivery;
  readonly dispatch: Dispatch;
  readonly redelivery: boolean;
  /** Whether its queue counts deliveries anew: before the first one there may have been others. */
  readonly countedAnew: boolean;
  phase: "held" | "asking" | "running" | "settling" | "over";
  attempt: number;
  fence: number;
  startMs: number | undefined;
  begun: boolean;
  /** What was reported and not answered. */
  report: Report | undefined;
  /** How often it was sent. */
  sent: number;
  /** The outputs: how many were stored, whether one is under way, or may be stored for all its agent knows, and the last one's sequence. */
  outputs: number;
  publishing: boolean;
  unconfirmed: boolean;
  lastOutput: number;
}

/** What agents live in. */
export interface AgentsOptions {
  readonly broker: MemoryBroker;
  readonly wireOf: (process: Process) => Wire;
  readonly chance: Chance;
  readonly nowMs: () => number;
  readonly faults: () => Faults;
  /** Sends a request to any coordinator; the answer may never come. */
  readonly request: (
    from: AgentIdentity,
    request: ReportRequest,
    hear: (results: readonly ReportResult[]) => void,
  ) => void;
  /** An agent was told that its completion stands. */
  readonly onCompleted: (taskId: string, operation: string, dispatchSequence: number) => void;
  readonly trace: (line: () => string) => void;
}

type Ending = "complete" | "fail" | "fail_for_good" | "retry_after" | "snooze" | "hand_back";

const AGENTS = ["a", "b", "c"];
const ENDINGS: readonly Ending[] = [
  "complete",
  "complete",
  "fail",
  "fail_for_good",
  "retry_after",
  "snooze",
  "hand_back",
];

/** The most reports in one request, here. */
const MAX_TOGETHER = 3;

/** How many outputs a run streams at most, here. */
const MAX_OUTPUTS = 3;

/** All agents. */
export class SimulatedAgents {
  readonly #options: AgentsOptions;
  readonly #ports: MemoryPorts;
  #runs: Run[] = [];
  /** Whoever starts a task dies of it. */
  poisoned = false;

  constructor(options: AgentsOptions) {
    this.#options = options;
    this.#ports = openMemoryPorts(options.broker, options.wireOf({ name: "an agent", alive: true }));
  }

  /** Every execution there was. */
  executions(): Iterable<Execution> {
    return this.#runs;
  }

  /** An agent gets a delivery, from a consumer that was made at a time. */
  deliver(delivery: MemoryDelivery, createMs: number): void {
    const { chance, faults, trace } = this.#options;
    const facts = parseDeliverySubject(delivery.reply);
    const deliveryId = `${facts?.consumerSequence}.${delivery.deliveries}`;
    const subject = parseTaskSubject(delivery.subject);
    if (subject === undefined) throw new Error(`${delivery.subject} is not a dispatch`);
    const dispatch = decodeDispatch(delivery.data);
    const agentId = chance.oneOf(AGENTS);
    // What an agent has had under the same count comes over a consumer that was made again, and is not for it.
    const had = this.#runs.some((run) => {
      return run.agentId === agentId && run.dispatchSequence === delivery.seq && run.deliveryId === deliveryId;
    });
    if (had) return;
    const suspect = chance.within(faults().leases, 15);
    trace(() => `agent ${agentId}: gets ${subject.taskId} from ${delivery.seq}, delivery ${delivery.deliveries}`);
    this.#runs.push({
      taskId: subject.taskId,
      agentId,
      dispatchSequence: delivery.seq,
      deliveryId,
      delivery,
      dispatch,
      redelivery: delivery.deliveries !== 1 || delivery.storeMs < createMs || suspect,
      countedAnew: delivery.storeMs < createMs,
      phase: "held",
      attempt: dispatch.attempt,
      fence: Number(dispatch.fence),
      startMs: undefined,
      begun: false,
      report: undefined,
      sent: 0,
      outputs: 0,
      publishing: false,
      unconfirmed: false,
      lastOutput: 0,
      counts: false,
      get atWork(): boolean {
        return this.phase === "running" || this.phase === "settling";
      },
    });
  }

  /** An agent is told to stop; attempt 0 means every one. */
  signal(agentId: string, taskId: string, attempt: number): void {
    for (const run of this.#runs) {
      if (run.agentId !== agentId || run.taskId !== taskId) continue;
      if (attempt !== 0 && run.attempt !== attempt) continue;
      if (run.phase === "held" || run.phase === "running") run.phase = "over";
    }
  }

  /** All agents are gone for good. */
  leave(): void {
    for (const run of this.#runs) run.phase = "over";
  }

  /** What agents can do now. */
  actions(): Action[] {
    const actions: Action[] = [];
    const { deaths, loss } = this.#options.faults();
    for (const run of this.#runs) {
      if (run.phase === "over") continue;
      if (deaths > 0) actions.push({ weight: 2 * deaths, run: () => this.#die(run) });
      if (run.report !== undefined) {
        // What was sent is repeated now and then; what was not goes out.
        actions.push({ weight: run.sent === 0 ? 32 : 1 + 3 * loss, run: () => this.#send(run) });
      }
      if (run.phase === "held") {
        actions.push({ weight: 40, run: () => this.#take(run) });
        // A hand-back says nothing of earlier deliveries but their count: who can't trust it asks, or lets the lease end.
        if (!run.countedAnew) actions.push({ weight: 4, run: () => this.#return(run) });
      }
      if (run.phase === "running" && run.unconfirmed && !run.publishing) {
        // Nothing is reported before it is known which output is the last one.
        actions.push({ weight: 24, run: () => this.#publish(run) });
      } else if (run.phase === "running" && run.report === undefined && !run.publishing) {
        actions.push({ weight: 24, run: () => this.#finish(run, this.#options.chance.oneOf(ENDINGS)) });
        if (!run.begun)
          actions.push({ weight: 12, run: () => this.#report(run, "running", { case: "begin", value: {} }) });
        else if (run.outputs < MAX_OUTPUTS) actions.push({ weight: 12, run: () => this.#publish(run) });
      }
    }
    return actions;
  }

  /** Does one thing that an agent which is alive does in the end; false if there is nothing to do. */
  proceed(): boolean {
    const { chance } = this.#options;
    for (const run of this.#runs) {
      if (run.phase === "over" || run.publishing) continue;
      if (run.report !== undefined) this.#send(run);
      else if (run.phase === "held") this.#take(run);
      else if (run.phase === "running" && this.poisoned) this.#die(run);
      else if (run.phase === "running" && (run.unconfirmed || (run.begun && run.outputs === 0))) this.#publish(run);
      else if (run.phase === "running") this.#finish(run, chance.oneIn(2) ? "complete" : "fail");
      else continue;
      return true;
    }
    return false;
  }

  #die(run: Run): void {
    run.phase = "over";
    this.#options.trace(() => `${nameOf(run)}: dies`);
  }

  /** Starts at once or asks first, as the protocol has it. */
  #take(run: Run): void {
    if (run.redelivery) this.#report(run, "asking", { case: "begin", value: { redelivery: true } });
    else if (run.dispatch.beginRequired) this.#report(run, "asking", { case: "begin", value: {} });
    else this.#start(run);
  }

  /** Gives back what was not started. */
  #return(run: Run): void {
    this.#report(run, "settling", { case: "handBack", value: { started: false } });
  }

  #start(run: Run): void {
    const { chance, faults, nowMs, trace } = this.#options;
    run.phase = "running";
    run.counts = true;
    // Agents' clocks are wrong by up to an hour.
    run.startMs = nowMs() + (chance.within(faults().clocks, 3) ? (chance.below(3) - 1) * 3_600_000 : 0);
    trace(() => `${nameOf(run)}: its handler starts`);
  }

  #finish(run: Run, ending: Ending): void {
    const delay = durationFromMs(this.#options.chance.below(10_000));
    const failure = { message: "no", reason: "HANDLER_ERROR", retryable: ending !== "fail_for_good" };
    if (ending === "complete") this.#report(run, "settling", { case: "complete", value: {} });
    else if (ending === "retry_after") this.#report(run, "settling", { case: "retryAfter", value: { delay, failure } });
    else if (ending === "snooze") this.#report(run, "settling", { case: "snooze", value: { delay } });
    else if (ending === "hand_back") {
      const started = !this.#options.chance.oneIn(4);
      this.#report(run, "settling", { case: "handBack", value: { started } });
    } else this.#report(run, "settling", { case: "fail", value: { failure } });
  }

  #report(run: Run, phase: Run["phase"], kind: MessageInitShape<typeof ReportSchema>["kind"]): void {
    run.phase = phase;
    run.sent = 0;
    const { taskId, attempt, fence, delivery, startMs, lastOutput } = run;
    run.report = create(ReportSchema, {
      taskId,
      attempt,
      fence: BigInt(fence),
      delivery: delivery.reply,
      outputSequence: BigInt(kind?.case === "begin" ? 0 : lastOutput),
      ...(startMs === undefined ? {} : { startTime: timestampFromMs(startMs) }),
      ...(kind === undefined ? {} : { kind }),
    });
    if (this.#options.chance.below(2) === 0) this.#send(run);
  }

  /** Sends what the run has to say, together with what others of its agent have to say. */
  #send(run: Run): void {
    const { chance, request } = this.#options;
    const together = [run];
    for (const other of this.#runs) {
      const joins = other !== run && other.agentId === run.agentId && other.phase !== "over";
      if (joins && other.report !== undefined && together.length < MAX_TOGETHER && chance.oneIn(2))
        together.push(other);
    }
    const sent = together.flatMap((each) => {
      each.sent += 1;
      return each.report === undefined ? [] : [{ run: each, report: each.report }];
    });
    const reports = sent.map(({ report }) => report);
    const from = { tenant: DEFAULT_TENANT, agentId: run.agentId };
    request(from, create(ReportRequestSchema, { reports }), (results) => {
      for (const [i, each] of sent.entries()) this.#hear(each.run, each.report, results[i]);
    });
  }

  #hear(run: Run, report: Report, result: ReportResult | undefined): void {
    if (run.phase === "over" || run.report !== report) return;
    const outcome = result?.outcome;
    if (outcome === undefined || outcome.case === undefined || outcome.case === "unavailable") return;
    run.report = undefined;
    if (outcome.case === "accepted" && report.kind.case === "begin") {
      run.fence = Number(outcome.value.fence);
      run.attempt = outcome.value.attempt;
      run.begun = true;
      if (run.phase === "asking") this.#start(run);
      return;
    }
    if (outcome.case === "accepted" && report.kind.case === "complete") {
      const { taskId, agentId, dispatchSequence, deliveryId } = run;
      this.#options.onCompleted(taskId, `${agentId}/${dispatchSequence}/${deliveryId}/`, dispatchSequence);
    }
    run.phase = "over";
  }

  #publish(run: Run): void {
    run.publishing = true;
    const { taskId, agentId, attempt, deliveryId, outputs } = run;
    const index = outputs + 1;
    const subject = outputSubject(DEFAULT_TENANT, taskId, agentId, attempt);
    const body = encodeOutputBatch({ outputs: [{ index: BigInt(index), kind: { case: "progress", value: {} } }] });
    const id = `${taskId}/${attempt}/${agentId}/${deliveryId}/${index}`;
    void this.#ports.publisher.publish({ subject, body, headers: { [MESSAGE_ID]: id } }).then((outcome) => {
      run.publishing = false;
      run.unconfirmed = outcome.kind !== "stored";
      if (outcome.kind !== "stored") return;
      run.outputs = index;
      run.lastOutput = outcome.sequence;
    });
  }
}

function nameOf({ agentId, taskId, attempt, delivery }: Run): string {
  return `agent ${agentId} (${taskId}, attempt ${attempt}, delivery ${delivery.deliveries})`;
}
