// A mesh in one process and without time of its own: the product's coordinators, simulated agents and clients, and a broker in memory.
// A sequence of choices says what happens next: what arrives, what is lost, who dies, how late it is. After every step the promises are
// checked; at the end nothing goes wrong any more, and everybody finishes.
import { setImmediate as endOfTurn } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { AgentSignalSchema } from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { DEFAULT_TENANT } from "../../../lib/core/names.ts";
import {
  DELAYED_CONSUMER,
  DELAYED_FILTER,
  dispatchFilter,
  parseOutputSubject,
  parseTaskSubject,
  TASKS_STREAM,
  TIMERS_CONSUMER,
  TIMERS_FIRED,
  TIMERS_STREAM,
} from "../../../lib/wire/subjects.ts";
import { MemoryBroker, type Schedule } from "../broker/memory-broker.ts";
import type { Item, MemoryConsumer } from "../broker/memory-consumer.ts";
import type { MemoryMessage } from "../broker/memory-stream.ts";
import { SimulatedAgents } from "./agents.ts";
import { Chance } from "./chance.ts";
import { SimulatedClients } from "./clients.ts";
import { SimulatedCoordinators } from "./coordinators.ts";
import { type Action, Network } from "./network.ts";
import { NO_BUG, type PlantedBug } from "./planted-bug.ts";
import { SimulatedReaders } from "./readers.ts";
import { type Faults, NO_FAULTS, type Scenario } from "./scenario.ts";
import { InvariantBroken, Witness } from "./witness.ts";

/** How a run is watched. */
export interface MeshOptions {
  /** A bug to be found. */
  readonly bug?: PlantedBug;
  /** Hears of every step, as text. */
  readonly onStep?: (line: string) => void;
}

/** When every run begins, in milliseconds since 1970. */
const START_MS: number = Date.UTC(2026, 0, 1);
const LEASE_MS = 30_000;

/** The most that coordinators do at once, here. */
const MAX_LOAD = 40;

/** How many steps a run may take to come to an end once nothing goes wrong. */
const MAX_SETTLE_STEPS = 2_000;

const LANES = `${TASKS_STREAM}/default=`;

/** Runs a scenario. Throws InvariantBroken if a promise is broken. */
export async function runScenario(scenario: Scenario, options: MeshOptions = {}): Promise<void> {
  const mesh = new SimulatedMesh(scenario, options);
  for (const choice of scenario.choices) await mesh.step(choice);
  await mesh.settle();
}

class SimulatedMesh {
  readonly #scenario: Scenario;
  readonly #chance = new Chance();
  readonly #broker: MemoryBroker;
  readonly #network: Network;
  readonly #witness: Witness;
  readonly #agents: SimulatedAgents;
  readonly #clients: SimulatedClients;
  readonly #readers: SimulatedReaders;
  readonly #coordinators: SimulatedCoordinators;
  readonly #trace: (line: () => string) => void;
  #nowMs = START_MS;
  #faults: Faults;
  #steps = 0;

  constructor(scenario: Scenario, options: MeshOptions) {
    this.#scenario = scenario;
    const { onStep } = options;
    this.#trace =
      onStep === undefined
        ? () => undefined
        : (line) => onStep(`${String(this.#steps).padStart(4)}  ${this.#elapsed()}  ${line()}`);
    const chance = this.#chance;
    const nowMs = (): number => this.#nowMs;
    this.#faults = scenario.faults;
    const faults = (): Faults => this.#faults;
    this.#broker = new MemoryBroker({
      nowMs,
      onStored: (stream, message, previous) => this.#onStored(stream, message, previous),
      onRemoved: (filter) => this.#witness.onRemoved(filter),
      ignoresExpectations: options.bug?.ignoresExpectations ?? false,
    });
    this.#network = new Network({
      chance,
      nowMs,
      faults,
      receive: (subject, body) => this.#receive(subject, body),
      versionAt: (stream, ms) => this.#broker.stream(stream).versionAt(ms),
      trace: this.#trace,
    });
    this.#agents = new SimulatedAgents({
      broker: this.#broker,
      wireOf: (process) => this.#network.wireOf(process),
      chance,
      nowMs,
      faults,
      request: (from, request, hear) => this.#coordinators.request(from, request, hear),
      onCompleted: (taskId, operation, dispatch) => this.#witness.completed(taskId, operation, dispatch),
      trace: this.#trace,
    });
    this.#witness = new Witness(
      () => this.#agents.executions(),
      (taskId) => this.#broker.stream(TASKS_STREAM).last(dispatchFilter(DEFAULT_TENANT, taskId)) !== undefined,
    );
    this.#coordinators = new SimulatedCoordinators({
      count: scenario.coordinators,
      broker: this.#broker,
      network: this.#network,
      witness: this.#witness,
      chance,
      nowMs,
      faults,
      bug: options.bug ?? NO_BUG,
      trace: this.#trace,
    });
    this.#clients = new SimulatedClients({
      plans: scenario.tasks,
      nowMs,
      chance,
      faults,
      witness: this.#witness,
      coordinator: () => this.#coordinators.any(),
      await: (by, work, onAnswer, onError) => this.#coordinators.await(by, work, onAnswer, onError),
      trace: this.#trace,
    });
    this.#readers = new SimulatedReaders({
      taskIds: Array.from({ length: scenario.readers }, (_, i) => `t${(i % scenario.tasks.length) + 1}`),
      broker: this.#broker,
      network: this.#network,
      witness: this.#witness,
      nowMs,
      faults,
      coordinator: () => this.#coordinators.any(),
      trace: this.#trace,
    });
    const ackWaitMs = LEASE_MS;
    this.#broker.consumer(TIMERS_STREAM, { name: TIMERS_CONSUMER, filter: TIMERS_FIRED, ackWaitMs });
    this.#broker.consumer(TASKS_STREAM, { name: DELAYED_CONSUMER, filter: DELAYED_FILTER, ackWaitMs });
  }

  /** Does one of the things that can happen now. */
  async step(choice: number): Promise<void> {
    this.#steps += 1;
    this.#chance.reseed(choice);
    const actions = this.#possible();
    let left = choice % actions.reduce((sum, { weight }) => sum + weight, 0);
    for (const { weight, run } of actions) {
      left -= weight;
      if (left >= 0) continue;
      run();
      break;
    }
    await this.#turn();
  }

  /** Ends all faults and lets everybody finish. */
  async settle(): Promise<void> {
    const { aftermath } = this.#scenario;
    this.#faults = NO_FAULTS;
    this.#chance.reseed(1);
    this.#trace(() => `from here on nothing goes wrong (${aftermath})`);
    this.#coordinators.setClocks();
    if (aftermath === "nobody") this.#agents.leave();
    this.#agents.poisoned = aftermath === "poison";
    for (let steps = 0; steps < MAX_SETTLE_STEPS; steps += 1) {
      this.#steps += 1;
      const goesOn = this.#proceed();
      await this.#turn();
      if (goesOn) continue;
      this.#checkEnd();
      await this.#readers.checkEnd();
      this.#witness.throwIfBroken();
      return;
    }
    throw new InvariantBroken(
      "2: every task ends exactly once, and the end never changes",
      `it is still at work after ${MAX_SETTLE_STEPS} steps without a fault`,
    );
  }

  #checkEnd(): void {
    const { aftermath, tasks } = this.#scenario;
    const plans = new Map(tasks.map((plan, i) => [`t${i + 1}`, plan]));
    this.#witness.checkEnd((taskId) => {
      const plan = plans.get(taskId);
      return aftermath !== "nobody" || plan?.scheduleToCloseMs !== undefined;
    });
    for (const [key, { items }] of this.#broker.consumers) {
      if (items.size === 0 || (aftermath === "nobody" && key.startsWith(LANES))) continue;
      throw new InvariantBroken(
        "2: every task ends exactly once, and the end never changes",
        `${items.size} messages of ${key} are never acknowledged`,
      );
    }
  }

  /** Lets everybody's code run as far as it comes, and checks the promises. */
  async #turn(): Promise<void> {
    if (this.#network.woken) {
      this.#network.woken = false;
      await endOfTurn();
    }
    this.#witness.check();
  }

  // ---- what can happen ----

  #possible(): Action[] {
    const actions: Action[] = [
      { weight: 8, run: () => this.#advance(this.#chance.below(500)) },
      { weight: 3, run: () => this.#advance(this.#chance.below(this.#chance.oneIn(4) ? 80_000 : 20_000)) },
      ...this.#network.actions(),
      ...this.#agents.actions(),
      ...this.#readers.actions(),
      ...this.#coordinators.actions(),
    ];
    if (this.#network.load < MAX_LOAD) actions.push(...this.#clients.actions(), ...this.#deliveries());
    const [next] = this.#schedules();
    if (next !== undefined) {
      actions.push({ weight: next.atMs <= this.#nowMs ? 32 : 4, run: () => this.#fire(next) });
    }
    return actions;
  }

  #deliveries(): Action[] {
    const actions: Action[] = [];
    const { leases, amnesia } = this.#faults;
    for (const [key, consumer] of this.#broker.consumers) {
      if (amnesia > 0 && key.startsWith(LANES)) actions.push({ weight: 1, run: () => this.#recreate(consumer) });
      for (const item of consumer.items.values()) {
        if (item.leased) {
          const over = item.leasedUntilMs <= this.#nowMs;
          if (over || leases > 0)
            actions.push({ weight: over ? 32 : 2 * leases, run: () => this.#endLease(consumer, item) });
        } else if (item.heldUntilMs <= this.#nowMs)
          actions.push({ weight: 32, run: () => this.#deliver(key, consumer, item) });
      }
    }
    return actions;
  }

  /** One thing that is bound to happen once nothing goes wrong; false if nothing is left. */
  #proceed(): boolean {
    if (this.#network.proceed() || this.#agents.proceed()) return true;
    const nobody = this.#scenario.aftermath === "nobody";
    let nextMs = Infinity;
    for (const [key, consumer] of this.#broker.consumers) {
      if (nobody && key.startsWith(LANES)) continue;
      const [item] = consumer.available(this.#nowMs);
      if (item !== undefined) {
        this.#deliver(key, consumer, item);
        return true;
      }
      for (const { leased, leasedUntilMs, heldUntilMs } of consumer.items.values()) {
        nextMs = Math.min(nextMs, leased ? leasedUntilMs : heldUntilMs);
      }
    }
    const [timer] = this.#schedules();
    if (timer !== undefined && timer.atMs <= nextMs) {
      this.#fire(timer);
      return true;
    }
    if (nextMs === Infinity) return this.#readers.proceed((taskId) => this.#witness.endMs(taskId) !== undefined);
    this.#advance(Math.max(0, nextMs - this.#nowMs));
    for (const consumer of this.#broker.consumers.values()) consumer.expireUntil(this.#nowMs);
    return true;
  }

  #onStored(stream: string, message: MemoryMessage, previous: number): void {
    this.#witness.onStored(stream, message);
    const subject = parseTaskSubject(message.subject);
    if (subject?.kind === "event") this.#readers.publish(subject.taskId, message, previous);
    const output = parseOutputSubject(message.subject);
    if (output !== undefined) this.#readers.publish(output.taskId, message, previous);
  }

  // ---- time ----

  #advance(ms: number): void {
    this.#nowMs += ms;
    this.#network.expireUntil(this.#nowMs);
  }

  /** The timers that are set, the next one first. */
  #schedules(): Schedule[] {
    return [...this.#broker.schedules.values()].sort((a, b) => a.atMs - b.atMs);
  }

  #fire(timer: Schedule): void {
    if (timer.atMs > this.#nowMs) this.#advance(timer.atMs - this.#nowMs);
    this.#trace(() => `the broker: ${timer.subject} is due`);
    this.#broker.fire(timer);
  }

  #elapsed(): string {
    return `+${((this.#nowMs - START_MS) / 1_000).toFixed(3)}s`.padStart(12);
  }

  // ---- deliveries ----

  #deliver(key: string, consumer: MemoryConsumer, item: Item): void {
    const delivery = consumer.deliver(item, this.#nowMs);
    if (key.startsWith(LANES)) {
      this.#agents.deliver(delivery, consumer.settings.createMs);
      return;
    }
    this.#coordinators.feed(key.split("/")[0] ?? "", delivery);
  }

  #recreate({ settings: { name } }: MemoryConsumer): void {
    // No message is as old as a consumer to the millisecond.
    this.#advance(1);
    this.#trace(() => `the broker: the consumer ${name} is deleted and made again`);
    this.#broker.recreate(TASKS_STREAM, name);
    this.#advance(1);
  }

  #endLease(consumer: MemoryConsumer, item: Item): void {
    this.#trace(() => `the broker: the lease of ${item.message.subject} (${item.message.sequence}) ends`);
    consumer.expire(item);
  }

  /** What arrives without an answer: acknowledgements at the broker, signals at agents. */
  #receive(subject: string, body: Uint8Array): void {
    if (subject.startsWith("$JS.ACK.")) {
      this.#broker.answer(subject, new TextDecoder().decode(body));
      return;
    }
    const { kind } = fromBinary(AgentSignalSchema, body);
    if (kind.case !== "cancel") return;
    this.#agents.signal(subject.split(".").at(-1) ?? "", kind.value.taskId, kind.value.attempt);
  }
}
