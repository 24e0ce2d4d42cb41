// All coordinators: who is alive, who is asked, whose clock is wrong. One that dies is followed by another with empty hands.
import type { ReportRequest, ReportResult } from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import type { AgentIdentity } from "../../../lib/nats/agent-requests.ts";
import type { FeedMessage, FeedVerdict } from "../../../lib/nats/work-feed.ts";
import { TIMERS_STREAM } from "../../../lib/wire/subjects.ts";
import type { MemoryBroker } from "../broker/memory-broker.ts";
import type { MemoryDelivery } from "../broker/memory-consumer.ts";
import type { Chance } from "./chance.ts";
import { SimulatedCoordinator } from "./coordinator.ts";
import type { Action, Network } from "./network.ts";
import type { PlantedBug } from "./planted-bug.ts";
import type { Faults } from "./scenario.ts";
import type { Witness } from "./witness.ts";

/** What coordinators live in. */
export interface CoordinatorsOptions {
  readonly count: number;
  readonly broker: MemoryBroker;
  readonly network: Network;
  readonly witness: Witness;
  readonly chance: Chance;
  readonly nowMs: () => number;
  readonly faults: () => Faults;
  readonly bug: PlantedBug;
  readonly trace: (line: () => string) => void;
}

/** How long until a feed gets a message again that it failed to handle, in milliseconds. */
const FEED_RETRY_MS = 1_000;

/** How far clocks are off: a little, and seldom a lot. */
const A_LITTLE_MS = 2_000;
const A_LOT_MS = 3_600_000;

/** All coordinators. */
export class SimulatedCoordinators {
  readonly #options: CoordinatorsOptions;
  readonly #alive: SimulatedCoordinator[] = [];
  #born = 0;

  constructor(options: CoordinatorsOptions) {
    this.#options = options;
    for (let i = 0; i < options.count; i += 1) this.#alive.push(this.#bear());
  }

  /** Any that is alive. */
  any(): SimulatedCoordinator {
    return this.#options.chance.oneOf(this.#alive);
  }

  /** What can happen to them now. */
  actions(): Action[] {
    const { network, faults } = this.#options;
    const { crashes, clocks } = faults();
    const actions: Action[] = [];
    for (const coordinator of this.#alive) {
      if (!network.isBusy(coordinator)) continue;
      if (crashes > 0) actions.push({ weight: 3 * crashes, run: () => this.#crash(coordinator) });
      if (clocks > 0) actions.push({ weight: clocks, run: () => this.#shiftClock(coordinator) });
    }
    return actions;
  }

  /** Sets every clock right. */
  setClocks(): void {
    for (const coordinator of this.#alive) coordinator.clockErrorMs = 0;
  }

  /** Waits for what a coordinator does; nothing is heard of one that dies meanwhile. */
  await<T>(
    by: SimulatedCoordinator,
    work: Promise<T>,
    onAnswer: (value: T) => void,
    onError: (error: unknown) => void,
  ): void {
    this.#options.network.woken = true;
    work.then(
      (value) => {
        if (by.alive) onAnswer(value);
      },
      (error: unknown) => {
        if (by.alive) onError(error);
      },
    );
  }

  /** Takes a request of an agent to any of them, and its answer back; both may be lost. */
  request(from: AgentIdentity, request: ReportRequest, hear: (results: readonly ReportResult[]) => void): void {
    const { network, witness } = this.#options;
    const what = (): string =>
      request.reports.map(({ kind, taskId, attempt }) => `${kind.case} of ${taskId}, attempt ${attempt}`).join("; ");
    network.send(
      () => `agent ${from.agentId} reports: ${what()}`,
      () => {
        const by = this.any();
        this.await(
          by,
          by.desk.answer(from, request),
          ({ results }) => {
            const answers = (): string => results.map(({ outcome }) => outcome.case ?? "nothing").join(", ");
            const label = (): string => `agent ${from.agentId} hears from ${by.name}: ${answers()} to ${what()}`;
            network.send(label, () => hear(results));
          },
          (error) => witness.broken("nothing fails in a way that nobody foresaw", String(error)),
        );
      },
    );
  }

  /** Gives one of them a timer that is due, or a delayed submission. As at WorkFeed, what it fails to handle comes again. */
  feed(stream: string, delivery: MemoryDelivery): void {
    const by = this.any();
    this.#options.trace(() => `${by.name}: gets ${delivery.subject}`);
    const handle: (message: FeedMessage) => Promise<FeedVerdict> = stream === TIMERS_STREAM ? by.onTimer : by.onDelayed;
    const answer = (text: string): void => by.ports.connection.publish(delivery.reply, new TextEncoder().encode(text));
    const later = (delayMs: number): void => answer(`-NAK ${JSON.stringify({ delay: delayMs * 1_000_000 })}`);
    this.await(
      by,
      handle(delivery),
      (verdict) => (verdict.kind === "ack" ? answer("+ACK") : later(verdict.delayMs)),
      () => later(FEED_RETRY_MS),
    );
  }

  #bear(): SimulatedCoordinator {
    const { broker, network, witness, chance, nowMs, bug } = this.#options;
    this.#born += 1;
    return new SimulatedCoordinator({
      name: `coordinator ${this.#born}`,
      broker,
      wireOf: (process) => network.wireOf(process),
      nowMs,
      random: () => chance.below(1_000) / 1_000,
      onUnforeseen: (what) => witness.broken("nothing fails in a way that nobody foresaw", what),
      bug,
    });
  }

  #crash(coordinator: SimulatedCoordinator): void {
    this.#options.trace(() => `${coordinator.name}: dies`);
    coordinator.alive = false;
    this.#options.network.forget(coordinator);
    this.#alive[this.#alive.indexOf(coordinator)] = this.#bear();
  }

  #shiftClock(coordinator: SimulatedCoordinator): void {
    const { chance, trace } = this.#options;
    const farMs = chance.oneIn(4) ? A_LOT_MS : A_LITTLE_MS;
    coordinator.clockErrorMs = chance.below(2 * farMs) - farMs;
    trace(() => `${coordinator.name}: its clock is ${coordinator.clockErrorMs} ms ahead`);
  }
}
