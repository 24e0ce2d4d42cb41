// Owns the work of a running agent: its slots and attempts, wired to puller, reporter and keeper. Knows nothing of registration.
import { fromBinary } from "@bufbuild/protobuf";
import type { Msg } from "@nats-io/transport-node";
import { AgentSignalSchema } from "../../gen/mycel/v1/agent_protocol_pb.ts";
import type { Clock } from "../../lib/core/clock.ts";
import type { Logger } from "../../lib/core/logger.ts";
import { SIGNAL } from "../../lib/wire/headers.ts";
import { parseDeliverySubject, parseTaskSubject } from "../../lib/wire/subjects.ts";
import { lineOf } from "./agent-error.ts";
import { Attempt } from "./attempt.ts";
import type { AttemptHost } from "./attempt-host.ts";
import type { Blobs } from "./blobs.ts";
import type { AgentDefinition } from "./define.ts";
import { deliveryOf } from "./delivery.ts";
import { LaneTrust } from "./lane-trust.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import type { Link, PullStatus } from "./link.ts";
import type { ResolvedOptions } from "./options.ts";
import { Puller } from "./puller.ts";
import { RecentDeliveries } from "./recent-deliveries.ts";
import { reportOf } from "./report-codec.ts";
import { Reporter } from "./reporter.ts";
import type { Session } from "./session.ts";
import type { Ending } from "./settlement.ts";
import { readWorkItem } from "./work-item.ts";

/** What the work needs. */
export interface WorkshopOptions {
  readonly definition: AgentDefinition;
  readonly settings: ResolvedOptions;
  readonly session: Session;
  readonly link: Link;
  readonly blobs: Blobs;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A lane's consumer is not there: the session may be out of date. */
  readonly onLaneMissing: () => void;
}

/** What is at work now, and how attempts ended so far. */
export interface WorkStats {
  /** Attempts in slots. */
  readonly running: number;
  /** Deliveries that wait for a slot. */
  readonly held: number;
  /** Attempts whose handler is done and whose report is not answered. */
  readonly settling: number;
  /** Handlers that were told to stop and have not. */
  readonly hung: number;
  /** How attempts ended. */
  readonly endings: Readonly<Record<Ending, number>>;
}

const CHECK_MS = 500;
// Handlers whose reports are not answered take no slot, but they must not pile up either.
const MAX_SETTLING_PER_SLOT = 16;
const MIN_SETTLING = 256;

/** Runs the attempts of an agent. */
export class Workshop {
  readonly #options: WorkshopOptions;
  readonly #keeper: LeaseKeeper;
  readonly #reporter: Reporter;
  readonly #puller: Puller<Attempt>;
  readonly #host: AttemptHost;
  readonly #attempts = new Set<Attempt>();
  readonly #recent = new RecentDeliveries();
  readonly #trust = new LaneTrust();
  readonly #endings: Record<Ending, number>;
  readonly #checking: NodeJS.Timeout;
  #session: Session;
  /** Deliveries that came to a workshop that had stopped; undefined while it works, and once no more can come. */
  #unstarted: Attempt[] | undefined;
  #stopped = false;
  #running = 0;
  #hung = 0;
  #abandoned = 0;
  #waiters: (() => void)[] = [];

  constructor(options: WorkshopOptions) {
    const { settings, link, clock, logger, session, definition, blobs } = options;
    this.#options = options;
    this.#session = session;
    this.#endings = noEndings();
    this.#keeper = new LeaseKeeper(clock, session.leaseMs / 2);
    this.#reporter = new Reporter({
      link,
      clock,
      logger,
      subject: () => this.#session.reportSubject,
      requestTimeoutMs: settings.requestTimeoutMs,
      giveUpMs: settings.reportGiveUpMs,
    });
    this.#puller = new Puller({
      link,
      clock,
      concurrency: definition.concurrency,
      freeSlots: () => this.#freeSlots(),
      start: (attempt) => this.#start(attempt),
      onLaneAway: (consumer) => this.#trust.doubt(consumer),
      onLaneMissing: options.onLaneMissing,
    });
    this.#host = {
      agentId: session.agentId,
      settings,
      capabilities: definition.capabilities,
      link,
      reporter: this.#reporter,
      keeper: this.#keeper,
      blobs,
      clock,
      logger,
      leaseMs: () => this.#session.leaseMs,
      outputSubject: (taskId, attempt) =>
        this.#session.outputTemplate.replace("{task_id}", taskId).replace("{attempt}", String(attempt)),
      freshFromMs: (consumer) => this.#freshFromMs(consumer),
      onHeldTooLong: (attempt) => {
        if (!(attempt instanceof Attempt)) return;
        this.#puller.remove(attempt);
        attempt.handBack();
      },
      onSlotFree: () => {
        this.#running -= 1;
        this.#puller.finished();
        this.#wake();
      },
      onHung: (change) => {
        this.#hung += change;
      },
      abandonSlot: () => {
        if (this.#abandoned >= definition.concurrency) return false;
        this.#abandoned += 1;
        return true;
      },
      onLateReturn: () => {
        this.#abandoned -= 1;
      },
      onOver: (attempt, ending) => this.#over(attempt, ending),
    };
    this.#checking = setInterval(() => this.#puller.check(), CHECK_MS);
    this.#puller.setLanes(session.lanes);
  }

  /** How many handlers run. */
  get running(): number {
    return this.#running;
  }

  /** What is at work now. */
  stats(): WorkStats {
    let settling = 0;
    for (const attempt of this.#attempts) if (attempt.settling) settling += 1;
    const held = this.#puller.held;
    return { running: this.#running, held, settling, hung: this.#hung, endings: { ...this.#endings } };
  }

  /** The agent was registered again. */
  renew(session: Session): void {
    this.#session = session;
    this.#trust.renewed(session.createMs);
    this.#puller.setLanes(session.lanes);
  }

  /** Takes in what JetStream delivered. */
  onDelivery(msg: Msg): void {
    const nowMs = this.#options.clock.monotonicMs();
    const facts = parseDeliverySubject(msg.reply ?? "");
    if (facts === undefined || msg.reply === undefined || !this.#recent.isNew(facts, msg.reply)) return;
    try {
      const item = readWorkItem(msg.data);
      const delivery = deliveryOf(facts, msg, item, nowMs, this.#keeper.stalled(nowMs));
      if (!this.#trust.trusts(facts)) {
        // It waits until a new session tells since when the consumer counts: whoever asks about it before spends an attempt.
        this.#puller.suspend(facts.stream, facts.consumer);
        this.#options.onLaneMissing();
      }
      const attempt = new Attempt(this.#host, delivery, item);
      this.#attempts.add(attempt);
      this.#keeper.watch(attempt);
      if (this.#unstarted !== undefined) this.#unstarted.push(attempt);
      // Nobody will start what comes after the stop, or over a lane that is gone.
      else if (this.#stopped || !this.#puller.arrived(facts, attempt)) attempt.handBack();
    } catch (error) {
      this.#options.logger.warn({ reason: lineOf(error), subject: msg.subject }, "delivery can't be read");
      this.#puller.discarded(facts.stream, facts.consumer);
      this.#askAbout(msg);
    }
  }

  /** What this agent can't read is for a coordinator to judge: it acknowledges what nobody can, or it would come again for ever. */
  #askAbout(msg: Msg): void {
    const subject = parseTaskSubject(msg.subject);
    if (subject === undefined || msg.reply === undefined) return;
    const facts = {
      taskId: subject.taskId,
      delivery: msg.reply,
      attempt: 0,
      fence: 0n,
      leaseToken: "",
      outputSequence: 0,
    };
    const report = reportOf({ ...facts, startMs: undefined }, { kind: "begin", redelivery: true });
    this.#reporter.send(report, () => undefined);
  }

  /** Takes in what the broker says about a pull. */
  onPullStatus(token: string, status: PullStatus): void {
    this.#puller.onStatus(token, status);
  }

  /** The connection was lost, or is back: to a server that started since, or another one, if it is not the `same`. */
  onConnection(connected: boolean, same: boolean): void {
    if (!connected) {
      this.#puller.disconnected();
      return;
    }
    if (!same) {
      for (const { stream, consumer } of this.#session.lanes) {
        this.#trust.doubt(consumer);
        this.#puller.suspend(stream, consumer);
      }
      this.#options.onLaneMissing();
    }
    for (const attempt of this.#attempts) attempt.reconnected();
    this.#reporter.resume();
    this.#puller.reconnected();
  }

  /** Takes in what a coordinator tells the agent. */
  onSignal(msg: Msg): void {
    // Whoever asks the broker for something may have the answer sent here. Only coordinators can send what carries this header.
    if (msg.headers?.has(SIGNAL) !== true) return;
    let signal;
    try {
      signal = fromBinary(AgentSignalSchema, msg.data);
    } catch (error) {
      this.#options.logger.warn({ reason: lineOf(error) }, "signal can't be read");
      return;
    }
    if (signal.kind.case !== "cancel") return;
    const { taskId, attempt: number, reason } = signal.kind.value;
    for (const attempt of this.#attempts) if (attempt.taskId === taskId) attempt.cancel(number, reason);
  }

  /** Takes no more work and hands back what has not started: once all pulls are back, or it would be offered to this very agent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const unstarted = this.#puller.stop();
    this.#unstarted = unstarted;
    await this.#options.link.endPulls();
    this.#unstarted = undefined;
    for (const attempt of unstarted) attempt.handBack();
  }

  /** Tells all handlers to stop and hands their attempts back. */
  handBackRunning(): void {
    for (const attempt of this.#attempts) attempt.handBack();
  }

  /** Resolves when no handler runs, or after `withinMs`; with whether none runs. */
  whenIdle(withinMs: number): Promise<boolean> {
    return this.#when(() => this.#running === 0, withinMs);
  }

  /** Resolves when all reports are answered, or after `withinMs`; with whether all are. */
  whenSettled(withinMs: number): Promise<boolean> {
    return this.#when(() => this.#attempts.size === 0, withinMs);
  }

  /** Ends all timers and gives up what is not answered. */
  close(): void {
    clearInterval(this.#checking);
    this.#reporter.close();
    this.#keeper.close();
  }

  /** From when on a message must have been stored, by the broker's clock, for its first delivery to be its first. */
  #freshFromMs(consumer: string): number {
    const lane = this.#session.lanes.find((each) => each.consumer === consumer);
    return Math.max(lane?.createMs ?? Number.POSITIVE_INFINITY, this.#trust.sinceMs(consumer));
  }

  #freeSlots(): number {
    const { concurrency } = this.#options.definition;
    const settlingMax = Math.max(MIN_SETTLING, concurrency * MAX_SETTLING_PER_SLOT);
    const unsettled = this.#attempts.size - this.#running - this.#puller.held;
    return Math.min(concurrency - this.#running, settlingMax - unsettled);
  }

  #start(attempt: Attempt): void {
    this.#running += 1;
    attempt.start();
  }

  #over(attempt: unknown, ending: Ending): void {
    if (!(attempt instanceof Attempt)) return;
    this.#endings[ending] += 1;
    // A delivery that lost its lease while it waited for a slot is still in its lane.
    if (!attempt.started) this.#puller.remove(attempt);
    this.#attempts.delete(attempt);
    this.#puller.schedule();
    this.#wake();
  }

  #when(reached: () => boolean, withinMs: number): Promise<boolean> {
    if (reached()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (): void => {
        const met = reached();
        if (!met && performance.now() < endMs) {
          this.#waiters.push(settle);
          return;
        }
        clearTimeout(timer);
        resolve(met);
      };
      const endMs = performance.now() + withinMs;
      const timer = setTimeout(() => resolve(reached()), withinMs);
      this.#waiters.push(settle);
    });
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    for (const waiter of this.#waiters.splice(0)) waiter();
  }
}

function noEndings(): Record<Ending, number> {
  return {
    completed: 0,
    failed: 0,
    retry_after: 0,
    snoozed: 0,
    handed_back: 0,
    canceled: 0,
    lease_lost: 0,
    dropped: 0,
    abandoned: 0,
  };
}
