// What becomes of agents' reports: each is decided by the pure rules, stored by compare-and-set, and only then is the delivery
// acknowledged. An agent can hurt nothing but its own attempts.

import { create } from "@bufbuild/protobuf";
import type { NatsConnection } from "@nats-io/nats-core";
import {
  type Report,
  type ReportRequest,
  type ReportResponse,
  type ReportResult,
  ReportResultSchema,
} from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { reportedStartMs } from "../../../lib/core/attempt-start.ts";
import { type BeginCommand, decideBegin, type DropReason } from "../../../lib/core/begin.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { attemptLimitMs } from "../../../lib/core/expire.ts";
import { MAX_REPORTS, MAX_WAIT_MS } from "../../../lib/core/limits.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { isUnreadable, MeshError } from "../../../lib/core/mesh-error.ts";
import { isName, MAX_TASK_ID_LENGTH } from "../../../lib/core/names.ts";
import { completion, decideSettle, type SettleCommand, type SettleOutcome } from "../../../lib/core/settle.ts";
import type { AgentIdentity } from "../../../lib/nats/agent-requests.ts";
import type { OutputLog } from "../../../lib/nats/output-log.ts";
import type { TaskLog, WriteOutcome } from "../../../lib/nats/task-log.ts";
import type { Timers } from "../../../lib/nats/timers.ts";
import type { LeaseTokens } from "../../../lib/wire/lease-token.ts";
import { type DeliverySubject, parseDeliverySubject, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { failureFromWire, type TaskRecord, viewOf } from "../../../lib/wire/task-codec.ts";
import { durationFromMs, msFromDuration, msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import type { Lifecycle } from "../tasks/lifecycle.ts";
import { AgentClocks } from "./agent-clocks.ts";
import { type Delivered, LeaseCheck } from "./lease-check.ts";

/** What the desk needs. */
export interface ReportDeskParts {
  readonly connection: NatsConnection;
  readonly log: TaskLog;
  readonly outputs: OutputLog;
  readonly timers: Timers;
  readonly lifecycle: Lifecycle;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** Whether nothing of an agent counts. Nobody is shut out if left out. */
  readonly isShutOut?: (from: AgentIdentity) => boolean;
  /** Shows what agents were given. Undefined where the broker asks agents for no credentials: there, anybody can be any agent. */
  readonly tokens?: LeaseTokens | undefined;
  /** Whether an agent is registered for a lane, by the name of its consumer. Needed with tokens. */
  readonly serves?: (from: AgentIdentity, consumer: string) => boolean;
}

/** How often a begin is decided anew because somebody else moved the task in between. */
const MAX_CONFLICTS = 5;
/** No agent sends as many; the answer has to fit into a message. */
const MAX_ANSWERS: number = 16 * MAX_REPORTS;
/** How long an agent waits before it repeats a report that could not be stored, in milliseconds. */
const RETRY_MS = 500;

const NOT_GIVEN = "lease_token is not that of this attempt";
const NOT_ITS_OUTPUT = "output_sequence is not an output of this attempt";

const MAX_SEQUENCE = BigInt(Number.MAX_SAFE_INTEGER);

const ACK = new TextEncoder().encode("+ACK");
const NAK = new TextEncoder().encode("-NAK");

/** Answers reports. */
export class ReportDesk {
  readonly #parts: ReportDeskParts;
  readonly #agentClocks: AgentClocks;
  readonly #leases: LeaseCheck;

  constructor(parts: ReportDeskParts) {
    this.#parts = parts;
    this.#agentClocks = new AgentClocks(parts.clock);
    this.#leases = new LeaseCheck(parts);
  }

  /** Answers the reports of one request, in their order. */
  async answer(from: AgentIdentity, request: ReportRequest): Promise<ReportResponse> {
    // The broker may not have closed its connection yet.
    const shutOut = this.#parts.isShutOut?.(from) === true;
    const results = await Promise.all(
      request.reports
        .slice(0, MAX_ANSWERS)
        .map(async (report, i) =>
          shutOut
            ? refused("AGENT_REVOKED", "this agent is shut out")
            : i < MAX_REPORTS
              ? this.#answerOne(from, report)
              : refused("INVALID_REPORT", `at most ${MAX_REPORTS} reports`),
        ),
    );
    return { $typeName: "mycel.v1.ReportResponse", results };
  }

  async #answerOne(from: AgentIdentity, report: Report): Promise<ReportResult> {
    const delivery = parseDeliverySubject(report.delivery);
    const violation = violationOf(from, report, delivery);
    if (violation !== undefined || delivery === undefined) return refused("INVALID_REPORT", violation ?? "delivery");
    const delivered = { from, report, delivery };
    try {
      if (!this.#leases.shows(delivered) && !(await this.#leases.holds(delivered)))
        return refused("INVALID_REPORT", NOT_GIVEN);
      if (report.kind.case === "begin") return await this.#begin(delivered, report.kind.value.redelivery);
      if (report.kind.case === "complete") return await this.#complete(delivered);
      return await this.#settle(delivered);
    } catch (err) {
      if (isUnreadable(err)) return this.#unreadable(delivered);
      if (!(err instanceof MeshError)) {
        this.#parts.logger.error({ err, task_id: report.taskId, agent_id: from.agentId }, "report not handled");
      }
      const retryDelay = durationFromMs(err instanceof MeshError ? (err.retryDelayMs ?? RETRY_MS) : RETRY_MS);
      return create(ReportResultSchema, { outcome: { case: "unavailable", value: { retryDelay } } });
    }
  }

  /** The answer to an agent that has begun: what it holds from now on, and what shows that it does. */
  #begun(delivered: Delivered, fence: number, attempt: number): ReportResult {
    return accepted(fence, attempt, this.#leases.tokenOf(delivered, fence, attempt));
  }

  async #begin(delivered: Delivered, redelivery: boolean): Promise<ReportResult> {
    const { from, report, delivery } = delivered;
    const { log, lifecycle, clock } = this.#parts;
    const command: BeginCommand = {
      agentId: from.agentId,
      dispatchSequence: delivery.sequence,
      redelivery: redelivery || delivery.deliveries > 1,
      deliveries: delivery.deliveries,
      fence: Number(report.fence),
      attempt: report.attempt,
      startMs: msFromTimestamp(report.startTime),
      operationId: operationId(delivered, "begin"),
    };
    for (let tries = 0; tries < MAX_CONFLICTS; tries += 1) {
      const record = await log.read(from.tenant, report.taskId, delivery.sequence);
      // The broker forgets a delivery with its message. If the message stands after all, because the leader that was asked is none any
      // more, an acknowledgement would be its loss; without, it comes back.
      if (record === undefined) return dropped("TASK_NOT_FOUND");
      if (record.dispatch.sequence < delivery.sequence) return dropped("STALE_DISPATCH");
      const decision = decideBegin(viewOf(record), command, clock.now());
      switch (decision.kind) {
        case "lease_lost":
          return refused("LEASE_LOST", "another attempt is in force, or the task has ended");
        case "started":
          this.#guard(record, viewOf(record).last?.attemptStartMs ?? clock.now());
          return this.#begun(delivered, decision.fence, decision.attempt);
        case "drop": {
          const stale = decision.event === undefined;
          if (stale || (await lifecycle.move(record, decision.event, command.operationId)).kind === "stored") {
            if (decision.reason === "STALE_DISPATCH") await this.#repeatFollowUp(record);
            return this.#drop(delivered, decision.reason);
          }
          break;
        }
        case "start": {
          const outcome = await lifecycle.move(record, decision.event, command.operationId);
          if (outcome.kind === "stored") {
            this.#guard(record, decision.event.attemptStartMs ?? clock.now());
            return this.#begun(delivered, outcome.sequence, decision.event.attempt);
          }
          break;
        }
      }
    }
    throw new MeshError("CONFLICT", "the task changes too fast", { retryDelayMs: RETRY_MS });
  }

  /** Nobody can do anything with what stands there; an item that nobody acknowledges would come again for ever. */
  #unreadable(delivered: Delivered): ReportResult {
    const { report, from, delivery } = delivered;
    const begins = report.kind.case === "begin";
    const fields = { task_id: report.taskId, agent_id: from.agentId, sequence: delivery.sequence };
    this.#parts.logger.warn(fields, begins ? "unreadable work item dropped" : "report on an unreadable task refused");
    // Nothing shows that it was delivered to this agent, but that it could have been.
    if (!this.#leases.mayHold(delivered)) return refused("INVALID_REPORT", NOT_GIVEN);
    return begins ? this.#drop(delivered, "TASK_UNREADABLE") : refused("LEASE_LOST", "the task can't be read");
  }

  /** The way of almost every task: one publish, no read. Whether the attempt still holds is for the broker to say. */
  async #complete(delivered: Delivered): Promise<ReportResult> {
    const { from, report } = delivered;
    const result = report.kind.case === "complete" ? report.kind.value.result : undefined;
    const checked = new Violations();
    checked.payload("result", result);
    const wrong = checked.error();
    if (wrong !== undefined) {
      return refused(wrong.reason === "PAYLOAD_TOO_LARGE" ? wrong.reason : "INVALID_REPORT", wrong.message);
    }
    const nowMs = this.#parts.clock.now();
    const event = completion({
      agentId: from.agentId,
      dispatchSequence: delivered.delivery.sequence,
      deliveries: delivered.delivery.deliveries,
      attempt: report.attempt,
      startMs: startMsOf(delivered, nowMs),
      outputSequence: Number(report.outputSequence),
    });
    const context = {
      eventMs: nowMs,
      operationId: operationId(delivered, "complete"),
      outputSequence: Number(report.outputSequence),
      result,
    };
    const task = { tenant: from.tenant, taskId: report.taskId };
    if (!(await this.#namesOwnOutput(delivered))) return refused("INVALID_REPORT", NOT_ITS_OUTPUT);
    const outcome =
      (await this.#standing(delivered, context.operationId)) ??
      (await this.#parts.log.append(task, event, context, Number(report.fence)));
    if (outcome.kind === "conflict") return refused("LEASE_LOST", "another attempt is in force, or the task has ended");
    this.#reply(report, ACK);
    return accepted(outcome.sequence, report.attempt);
  }

  async #settle(delivered: Delivered): Promise<ReportResult> {
    const { from, report } = delivered;
    const { log, lifecycle, clock, random } = this.#parts;
    const outcome = outcomeOf(report);
    if (outcome === undefined) return refused("INVALID_REPORT", "the report has no kind");
    const command: SettleCommand = {
      agentId: from.agentId,
      dispatchSequence: delivered.delivery.sequence,
      attempt: report.attempt,
      fence: Number(report.fence),
      deliveries: delivered.delivery.deliveries,
      startMs: startMsOf(delivered, clock.now()),
      outputSequence: Number(report.outputSequence),
      operationId: operationId(delivered, outcome.kind),
      outcome,
    };
    if (!(await this.#namesOwnOutput(delivered))) return refused("INVALID_REPORT", NOT_ITS_OUTPUT);
    const reached = Math.max(delivered.delivery.sequence, command.fence);
    const record = await log.read(from.tenant, report.taskId, reached);
    if (record === undefined) return refused("LEASE_LOST", "the task no longer exists");
    const decision = decideSettle(viewOf(record), command, clock.now(), random());
    if (decision.kind === "lease_lost")
      return refused("LEASE_LOST", "another attempt is in force, or the task has ended");
    let fence: number;
    if (decision.kind === "let_go") fence = decision.fence;
    else if (decision.kind === "written") {
      fence = decision.fence;
      await this.#repeatFollowUp(record);
    } else {
      const written = await lifecycle.move(record, decision.event, command.operationId);
      if (written.kind === "conflict")
        return refused("LEASE_LOST", "another attempt is in force, or the task has ended");
      fence = written.sequence;
    }
    if (outcome.kind !== "hand_back") this.#reply(report, ACK);
    // A negative acknowledgement frees the item whoever holds it by now, so it is not repeated: at worst the lease has to end.
    else if (decision.kind !== "written") this.#reply(report, NAK);
    return accepted(fence, report.attempt);
  }

  /**
   * What became of a completion without a token, as far as it stands already; undefined if that is for the broker to say. No token fits an
   * id of which nothing is left, and one that is used anew: an agent that comes back from the dead could end a task that it never had. An
   * attempt that nobody recorded lasts for milliseconds, and no task is purged within its first second; so only what took longer is looked
   * up. What has ended by then is not written to, because it may be purged at any moment.
   */
  async #standing({ from, report, delivery }: Delivered, operationId: string): Promise<WriteOutcome | undefined> {
    if (report.fence !== 0n) return undefined;
    if (this.#agentClocks.isYoung(from, msFromTimestamp(report.startTime))) return undefined;
    const record = await this.#parts.log.readLatest(from.tenant, report.taskId);
    if (record?.event === undefined) {
      return record?.dispatch.sequence === delivery.sequence ? undefined : { kind: "conflict" };
    }
    const { message, sequence } = record.event;
    return message.operationId === operationId ? { kind: "stored", sequence } : { kind: "conflict" };
  }

  /** Readers believe the last output that a settled attempt names: it must be one of the attempt's own. */
  async #namesOwnOutput({ from, report }: Delivered): Promise<boolean> {
    const sequence = Number(report.outputSequence);
    if (sequence === 0) return true;
    return this.#parts.outputs.holds(
      { tenant: from.tenant, taskId: report.taskId },
      from.agentId,
      report.attempt,
      sequence,
    );
  }

  /** A coordinator may have died between an event and what follows from it; whoever comes by does it again. */
  async #repeatFollowUp(record: TaskRecord): Promise<void> {
    const { last } = viewOf(record);
    if (last?.state === "backing_off" && last.nextAttemptMs !== undefined && last.sequence > record.dispatch.sequence) {
      await this.#parts.timers.set(record, "dispatch", last.nextAttemptMs);
    }
  }

  /** Has somebody look when the attempt must be over. Only an agent that is alive and misbehaves is ever met by it. */
  #guard(record: TaskRecord, startMs: number): void {
    this.#parts.timers.set(record, "start_to_close", attemptLimitMs(viewOf(record), startMs)).catch((err: unknown) => {
      this.#parts.logger.warn({ err, task_id: record.taskId }, "limit of an attempt not armed");
    });
  }

  #drop({ report }: Delivered, reason: DropReason | "TASK_UNREADABLE"): ReportResult {
    this.#reply(report, ACK);
    return dropped(reason);
  }

  #reply(report: Report, body: Uint8Array): void {
    this.#parts.connection.publish(report.delivery, body);
  }
}

/** When an attempt that is over started. */
function startMsOf({ report, delivery }: Delivered, nowMs: number): number | undefined {
  return reportedStartMs(msFromTimestamp(report.startTime), { storedMs: delivery.storedMs, nowMs });
}

/**
 * Names an operation of a delivery, the same for every repetition of its report. A consumer that was made again counts the deliveries of a
 * message anew; its own sequence tells them apart.
 */
function operationId({ from, report, delivery }: Delivered, kind: string): string {
  const { sequence, consumerSequence, deliveries } = delivery;
  const attempt = kind === "begin" ? 0 : report.attempt;
  return `${from.agentId}/${sequence}/${consumerSequence}.${deliveries}/${attempt}/${kind}`;
}

function violationOf(from: AgentIdentity, report: Report, delivery: DeliverySubject | undefined): string | undefined {
  if (!isName(report.taskId, MAX_TASK_ID_LENGTH)) return "task_id is not a task id";
  if (delivery === undefined) return "delivery is not the reply subject of a delivery";
  const foreign = delivery.stream !== TASKS_STREAM || !delivery.consumer.startsWith(`${from.tenant}=`);
  if (foreign) return "delivery belongs to another stream or tenant";
  // What is stored is told to every reader, and a number beyond these is no sequence and no attempt.
  if (report.attempt < 0) return "attempt is negative";
  if (report.fence > MAX_SEQUENCE) return "fence is not a fencing token";
  if (report.outputSequence > MAX_SEQUENCE) return NOT_ITS_OUTPUT;
  const checked = new Violations();
  checked.timestamp("start_time", report.startTime);
  const [wrong] = checked.found;
  if (wrong !== undefined) return `${wrong.field} ${wrong.description}`;
  return report.kind.case === undefined ? "the report has no kind" : undefined;
}

function outcomeOf({ kind }: Report): SettleOutcome | undefined {
  switch (kind.case) {
    case "fail":
      return { kind: "fail", failure: failureFromWire(kind.value.failure) };
    case "retryAfter":
      return { kind: "retry_after", delayMs: delayOf(kind.value.delay), failure: failureFromWire(kind.value.failure) };
    case "snooze":
      return { kind: "snooze", delayMs: delayOf(kind.value.delay) };
    case "handBack":
      return { kind: "hand_back", started: kind.value.started };
    case "begin":
    case "complete":
    case undefined:
      return undefined;
  }
}

function delayOf(delay: Parameters<typeof msFromDuration>[0]): number {
  return Math.min(Math.max(msFromDuration(delay) ?? 0, 0), MAX_WAIT_MS);
}

function accepted(fence: number, attempt: number, leaseToken = ""): ReportResult {
  return {
    $typeName: "mycel.v1.ReportResult",
    outcome: { case: "accepted", value: { $typeName: "mycel.v1.Accepted", fence: BigInt(fence), attempt, leaseToken } },
  };
}

function dropped(reason: DropReason | "TASK_NOT_FOUND" | "TASK_UNREADABLE"): ReportResult {
  return create(ReportResultSchema, { outcome: { case: "dropped", value: { reason } } });
}

function refused(reason: string, message: string): ReportResult {
  return create(ReportResultSchema, { outcome: { case: "refused", value: { reason, message } } });
}
