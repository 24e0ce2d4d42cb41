// Owns one attempt's life: held, asking to begin, running, settling, over. It decides when to report what; how reports travel, when the
// timer fires and what the handler sees is told elsewhere.
import { context, type Context, type Span } from "@opentelemetry/api";
import { DEFAULT_START_TO_CLOSE_MS, MAX_INLINE_PAYLOAD_BYTES } from "../../lib/core/limits.ts";
import { carrierFromContext, markSpanFailed } from "../../lib/wire/trace-context.ts";
import { AgentError } from "./agent-error.ts";
import type { AttemptHost, HostedAttempt } from "./attempt-host.ts";
import { startProcessSpan, startSettleSpan } from "./attempt-spans.ts";
import { beginBefore, type Delivery } from "./delivery.ts";
import { callHandler } from "./handler-call.ts";
import { type DeskOwner, HandlerDesk } from "./handler-desk.ts";
import { Lease } from "./lease.ts";
import type { Watched } from "./lease-keeper.ts";
import { fail, type Outcome, outcomeOfError, outcomeOfTimeout } from "./outcome.ts";
import type { ReportAnswer } from "./reporter.ts";
import { type ReportKind, reportOf } from "./report-codec.ts";
import { type Ending, ENDINGS, type Settlement, settlementOf } from "./settlement.ts";
import type { WorkItem } from "./work-item.ts";

type Phase = "held" | "asking" | "running" | "settling" | "over";

const NEVER = Number.POSITIVE_INFINITY;

/** One attempt at a delivered task. */
export class Attempt implements Watched, DeskOwner, HostedAttempt {
  dueMs: number;
  /** The number of the attempt: the dispatch's, until `begin` says otherwise. */
  attempt: number;
  /** Whether a handler is at work in a slot. */
  inSlot = false;
  /** Whether it ever got a slot. */
  started = false;
  readonly #host: AttemptHost;
  readonly #delivery: Delivery;
  readonly #item: WorkItem;
  readonly #desk: HandlerDesk;
  readonly #lease: Lease;
  // While begin is asked for a redelivery: what was said of which attempt. Its number is not known yet, and the end of the one before,
  // which this very agent may have held, is not its own.
  #signalled: Map<number, string> | undefined;
  #phase: Phase = "held";
  #fence: bigint;
  #leaseToken: string;
  #holdUntilMs: number;
  #startTimeMs = 0;
  #lazyMs = NEVER;
  #closeMs = NEVER;
  #silenceMs = NEVER;
  #heartbeatMs = 0;
  #giveUpSlotMs = NEVER;
  /** The answer to the begin that is on its way, or has come. */
  #begun: Promise<boolean> | undefined;
  /** Whether the handler was told to stop and has not returned. */
  #hung = false;
  #abandoned = false;
  #span: Span | undefined;
  #parent: Context | undefined;

  constructor(host: AttemptHost, delivery: Delivery, item: WorkItem) {
    this.#host = host;
    this.#delivery = delivery;
    this.#item = item;
    this.attempt = delivery.dispatch.attempt;
    this.#fence = delivery.dispatch.fence;
    this.#leaseToken = delivery.dispatch.leaseToken;
    this.#lease = new Lease(host, delivery);
    this.#holdUntilMs = delivery.receivedMs + host.settings.holdMs;
    this.dueMs = 0;
    this.#desk = new HandlerDesk(host, this);
    this.#plan();
  }

  /** The task. */
  get taskId(): string {
    return this.#item.taskId;
  }

  /** Whether the handler is done and the report is not answered. */
  get settling(): boolean {
    return this.#phase === "settling";
  }

  /** Takes a slot: starts the handler at once, or asks first where that is needed. */
  start(): void {
    this.inSlot = true;
    this.started = true;
    const ask = beginBefore(this.#delivery, this.#host.freshFromMs(this.#delivery.consumer));
    if (ask === "no") this.#run();
    else void this.#ask(ask === "redelivery");
  }

  /** Gives the delivery back, started or not. */
  handBack(): void {
    if (this.#phase === "held") this.#settle({ kind: "hand_back", started: false });
    else if (this.#phase === "asking" || this.#phase === "running") {
      const wasRunning = this.#phase === "running";
      this.#abort(new AgentError("DRAINING", "the agent shuts down"));
      // While asking, the answer decides whether there is something to hand back.
      if (wasRunning) this.#settle({ kind: "hand_back", started: true });
    }
  }

  /** The task, or this attempt of it, ended elsewhere: stop, report nothing. Attempt 0 means every one. */
  cancel(attempt: number, reason: string): void {
    if (this.#phase === "over" || this.#phase === "settling") return;
    if (this.#signalled !== undefined && attempt !== 0) {
      this.#signalled.set(attempt, reason);
      return;
    }
    if (attempt !== 0 && attempt !== this.attempt) return;
    this.#abort(new AgentError("CANCELED", reason || "the task was canceled"));
    this.#end("canceled");
  }

  /** Renews the lease and looks at the time limits. */
  onDue(nowMs: number): void {
    if (this.#phase !== "over") {
      if (this.#lease.lapsed(nowMs) && this.#phase !== "settling") this.#loseLease(this.#lease.silence(nowMs));
      else if (nowMs >= this.#lease.dueMs) this.#lease.renew(nowMs);
    }
    if (this.#phase === "held" && nowMs >= this.#holdUntilMs) this.#host.onHeldTooLong(this);
    if (this.#phase === "running") this.#checkLimits(nowMs);
    if (nowMs >= this.#giveUpSlotMs) this.#giveUpSlot(nowMs);
    this.#plan(nowMs);
  }

  /** The connection is back: the broker has not heard of this lease for a while. */
  reconnected(): void {
    if (this.#phase === "over") return;
    const nowMs = this.#host.clock.monotonicMs();
    if (this.#lease.lapsed(nowMs) && this.#phase === "running")
      this.#loseLease("the connection was lost for longer than the lease");
    else this.#lease.renew(nowMs);
  }

  get deadlineTimeMs(): number {
    return this.#startTimeMs + this.#startToCloseMs();
  }

  get working(): boolean {
    return this.#phase === "running";
  }

  /** Names this run: the same attempt may run again after a hand-back or a snooze, here or elsewhere. */
  get runId(): string {
    const { consumerSequence, deliveries } = this.#delivery;
    return `${this.taskId}/${this.attempt}/${this.#host.agentId}/${consumerSequence}.${deliveries}`;
  }

  heartbeat(): void {
    if (this.#heartbeatMs > 0) this.#silenceMs = this.#host.clock.monotonicMs() + this.#heartbeatMs;
  }

  mayPublish(): boolean {
    if (this.#phase !== "running" && this.#phase !== "settling") return false;
    const lapsed = this.#lease.lapsed(this.#host.clock.monotonicMs());
    if (lapsed && this.#phase === "running") this.#loseLease("the process stood still for longer than the lease");
    return !lapsed;
  }

  /** Tells the mesh that the attempt runs, once; resolves with whether the lease still holds. */
  beginLazily(): Promise<boolean> {
    this.#lazyMs = NEVER;
    this.#begun ??= this.#reportBegin(false, this.#startTimeMs).then((answer) => {
      if (answer.kind === "accepted") {
        this.#fence = answer.fence;
        this.#leaseToken = answer.leaseToken;
        return true;
      }
      const why = answer.kind === "abandoned" ? "no coordinator answered" : answer.reason;
      if (this.#phase !== "over") this.#loseLease(`the mesh did not take note of the start: ${why}`);
      return false;
    });
    return this.#begun;
  }

  async #ask(redelivery: boolean): Promise<void> {
    this.#phase = "asking";
    if (redelivery) this.#signalled = new Map();
    this.#plan();
    const answer = await this.#reportBegin(redelivery, undefined);
    // The answer may have waited in a socket while the process stood still.
    if (this.#phase === "asking" && this.#lease.lapsed(this.#host.clock.monotonicMs()))
      this.#loseLease("the lease ended before the start");
    if (this.#phase !== "asking") {
      this.#freeSlot();
      return;
    }
    if (answer.kind !== "accepted") {
      this.#freeSlot();
      this.#endUnanswered(answer);
      return;
    }
    this.#fence = answer.fence;
    this.#leaseToken = answer.leaseToken;
    this.attempt = answer.attempt;
    this.#begun = Promise.resolve(true);
    const reason = this.#signalled?.get(this.attempt);
    this.#signalled = undefined;
    if (reason !== undefined) {
      this.#freeSlot();
      this.cancel(this.attempt, reason);
      return;
    }
    if (this.#desk.abortReason === undefined) {
      this.#run();
      return;
    }
    this.#freeSlot();
    this.#settle({ kind: "hand_back", started: true });
  }

  #run(): void {
    const { clock, settings, capabilities } = this.#host;
    const nowMs = clock.monotonicMs();
    this.#phase = "running";
    this.#startTimeMs = clock.now();
    this.#closeMs = nowMs + this.#startToCloseMs();
    this.#heartbeatMs = this.#item.heartbeatMs ?? 0;
    this.heartbeat();
    if (this.#begun === undefined) this.#lazyMs = nowMs + settings.lazyRunningMs;
    const traced = startProcessSpan(this.#delivery, this.#item, this.attempt, this.#host.agentId);
    this.#span = traced?.span;
    this.#parent = traced?.active;
    const capability = capabilities.get(this.#item.type);
    if (capability === undefined) {
      this.#returned(outcomeOfError(new Error(`this agent cannot run tasks of type ${this.#item.type}`)));
      return;
    }
    const call = (): Outcome | Promise<Outcome> => callHandler(capability, this.#item, this.#desk, this.#host.blobs);
    const outcome = traced === undefined ? call() : context.with(traced.active, call);
    if (outcome instanceof Promise) {
      this.#plan(nowMs);
      void outcome.then((ended) => this.#returned(ended));
    } else this.#returned(outcome);
  }

  #checkLimits(nowMs: number): void {
    if (nowMs >= this.#closeMs) {
      const limit = `the attempt ran longer than its limit of ${this.#startToCloseMs()} ms`;
      this.#timeOut(new AgentError("START_TO_CLOSE_TIMEOUT", limit));
    } else if (nowMs >= this.#silenceMs) {
      const limit = `the handler gave no sign of life for ${this.#heartbeatMs} ms`;
      this.#timeOut(new AgentError("HEARTBEAT_TIMEOUT", limit));
    } else if (nowMs >= this.#lazyMs) void this.beginLazily();
  }

  #timeOut(reason: AgentError): void {
    this.#abort(reason);
    this.#settle(settlementOf(outcomeOfTimeout(reason.code, reason.message)));
  }

  /** The handler returned or threw. */
  #returned(outcome: Outcome): void {
    this.#freeSlot();
    if (this.#hung) this.#host.onHung(-1);
    this.#hung = false;
    if (this.#abandoned) this.#host.onLateReturn();
    if (this.#phase !== "running") return;
    if (outcome.kind === "fail" && this.#span !== undefined)
      markSpanFailed(this.#span, outcome.failure.reason, outcome.failure.message);
    let kind: Settlement;
    try {
      kind = settlementOf(outcome);
    } catch (error) {
      kind = settlementOf(outcomeOfError(error));
    }
    if (kind.kind === "complete" && kind.result !== undefined && kind.result.length > MAX_INLINE_PAYLOAD_BYTES) {
      void this.#settleLarge(outcome.kind === "complete" ? outcome.value : undefined);
    } else this.#settle(kind);
  }

  async #settleLarge(value: unknown): Promise<void> {
    // Still running, as far as limits and signals go: the upload belongs to the attempt.
    this.#plan();
    let kind: Settlement;
    try {
      kind = { kind: "complete", result: await this.#desk.upload(value) };
    } catch (error) {
      kind = settlementOf(outcomeOfError(error));
    }
    if (this.#phase === "running") this.#settle(kind);
  }

  #settle(kind: Settlement): void {
    this.#phase = "settling";
    this.#lazyMs = this.#closeMs = this.#silenceMs = NEVER;
    this.#span?.end();
    if (this.#begun === undefined && this.#desk.outputs === undefined) this.#reportEnd(kind);
    else void this.#settleInOrder(kind);
  }

  async #settleInOrder(kind: Settlement): Promise<void> {
    const { outputs } = this.#desk;
    if (this.#begun !== undefined && !(await this.#begun)) return;
    // What was streamed before a time-out still counts; a hand-back starts the attempt anew.
    if (outputs !== undefined && !(await outputs.finish())) {
      this.#loseLease("the outputs could not be stored while the lease was held");
      return;
    }
    this.#reportEnd(kind);
  }

  #reportEnd(kind: Settlement): void {
    const traced = startSettleSpan(kind.kind, this.#delivery, this.#item, this.#parent);
    const startMs = this.#startTimeMs === 0 ? undefined : this.#startTimeMs;
    this.#report(kind, startMs, traced?.active ?? this.#parent, (answer) => {
      traced?.end(answer);
      if (answer.kind === "accepted") this.#end(ENDINGS[kind.kind]);
      else if (answer.kind === "refused" && answer.reason !== "LEASE_LOST" && kind.kind === "complete") {
        // The mesh will not take this result; without an answer the task would be run again for the same result.
        this.#settle(settlementOf(fail(`the result was refused: ${answer.message}`, { reason: answer.reason })));
      } else this.#endUnanswered(answer);
    });
  }

  #endUnanswered(answer: Exclude<ReportAnswer, { kind: "accepted" }>): void {
    if (answer.kind === "abandoned") {
      this.#desk.logger().error({}, "no coordinator took the report");
      this.#end("abandoned");
    } else if (answer.kind === "dropped") {
      this.#desk.logger().debug({ reason: answer.reason }, "delivery dropped");
      this.#end("dropped");
    } else {
      this.#desk.logger().warn({ reason: answer.reason, detail: answer.message }, "report refused");
      this.#end("lease_lost");
    }
  }

  #loseLease(why: string): void {
    this.#desk.logger().warn({ why }, "lease lost");
    this.#abort(new AgentError("LEASE_LOST", why));
    this.#end("lease_lost");
  }

  #abort(reason: AgentError): void {
    if (this.#desk.abortReason !== undefined) return;
    if (this.inSlot && this.#phase === "running") {
      this.#hung = true;
      this.#host.onHung(1);
      this.#giveUpSlotMs = this.#host.clock.monotonicMs() + this.#host.settings.hungMs;
    }
    if (this.#span !== undefined) markSpanFailed(this.#span, reason.code, reason.message);
    this.#desk.abort(reason);
  }

  #end(ending: Ending): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#span?.end();
    this.#desk.outputs?.discard();
    this.#lazyMs = this.#closeMs = this.#silenceMs = NEVER;
    this.#plan();
    if (!this.#hung) this.#host.keeper.unwatch(this);
    this.#host.onOver(this, ending);
  }

  #freeSlot(): void {
    if (!this.inSlot) return;
    this.inSlot = false;
    this.#giveUpSlotMs = NEVER;
    if (this.#phase === "over") this.#host.keeper.unwatch(this);
    this.#host.onSlotFree(this);
  }

  #giveUpSlot(nowMs: number): void {
    if (!this.#host.abandonSlot()) {
      this.#giveUpSlotMs = nowMs + this.#host.settings.hungMs;
      return;
    }
    this.#abandoned = true;
    this.#desk.logger().error({ type: this.#item.type }, "handler does not stop, its slot is given to others");
    this.#freeSlot();
  }

  #reportBegin(redelivery: boolean, startMs: number | undefined): Promise<ReportAnswer> {
    return new Promise((resolve) => this.#report({ kind: "begin", redelivery }, startMs, this.#parent, resolve));
  }

  #report(
    kind: ReportKind,
    startMs: number | undefined,
    parent: Context | undefined,
    onAnswer: (answer: ReportAnswer) => void,
  ): void {
    const facts = {
      taskId: this.taskId,
      attempt: this.attempt,
      fence: this.#fence,
      leaseToken: this.#leaseToken,
      delivery: this.#delivery.reply,
      startMs,
      outputSequence: kind.kind === "begin" ? 0 : (this.#desk.outputs?.lastSequence ?? 0),
    };
    const carrier = parent === undefined ? undefined : carrierFromContext(parent);
    this.#host.reporter.send(reportOf(facts, kind), onAnswer, carrier);
  }

  #startToCloseMs(): number {
    return this.#item.startToCloseMs ?? DEFAULT_START_TO_CLOSE_MS;
  }

  #plan(nowMs: number = Number.NEGATIVE_INFINITY): void {
    let dueMs = this.#giveUpSlotMs;
    if (this.#phase !== "over") {
      // While a renewal cannot be sent, look again soon.
      dueMs = Math.min(dueMs, Math.max(this.#lease.dueMs, nowMs + 50));
    }
    if (this.#phase === "held") dueMs = Math.min(dueMs, this.#holdUntilMs);
    if (this.#phase === "running") dueMs = Math.min(dueMs, this.#lazyMs, this.#closeMs, this.#silenceMs);
    this.dueMs = dueMs;
    this.#host.keeper.touch(this);
  }
}
