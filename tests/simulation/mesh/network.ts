// Everything that is under way: requests to the broker and their answers, and messages between agents and coordinators. Nothing arrives
// by itself: each step of it is an action that somebody picks.
import { JetStreamApiError } from "@nats-io/jetstream";
import type { BrokerCall, Wire } from "../broker/memory-ports.ts";
import type { Chance } from "./chance.ts";
import type { Faults } from "./scenario.ts";

/** Something that can happen now. */
export interface Action {
  /** How often it is picked, compared with others. */
  readonly weight: number;
  readonly run: () => void;
}

/** Whoever talks to the broker. */
export interface Process {
  readonly name: string;
  /** A dead process sends nothing and hears nothing: whatever it waits for never comes. */
  alive: boolean;
}

/** What the network needs to know of the world. */
export interface NetworkOptions {
  readonly chance: Chance;
  readonly nowMs: () => number;
  /** What may go wrong now. */
  readonly faults: () => Faults;
  /** Takes what arrives without an answer: acknowledgements and signals. */
  readonly receive: (subject: string, body: Uint8Array) => void;
  /** How many changes a stream had seen at a time, for replicas that lag. */
  readonly versionAt: (stream: string, ms: number) => number;
  readonly trace: (line: () => string) => void;
}

interface PendingCall {
  readonly process: Process;
  readonly call: BrokerCall<unknown>;
  readonly sentMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** What the broker answered, once it has. */
  answer: Answer | undefined;
}

type Answer = { readonly value: unknown } | { readonly error: unknown };

interface Packet {
  readonly label: () => string;
  readonly deliver: () => void;
}

/** A request whose sender has given it up, and that may still arrive. */
interface Straggler {
  readonly call: BrokerCall<unknown>;
  readonly sender: string;
  readonly untilMs: number;
}

/** How long a process waits for the broker's answer, as in lib/nats. */
const CALL_TIMEOUT_MS = 5_000;

/** How long a request may be under way: no network keeps one for ever. */
const STRAGGLE_MS = 20_000;

/** How far a replica may lag behind. */
const MAX_LAG_MS = 10_000;

/** The network. */
export class Network {
  readonly #options: NetworkOptions;
  readonly #calls: PendingCall[] = [];
  readonly #packets: Packet[] = [];
  readonly #stragglers: Straggler[] = [];
  /** Whether somebody's code has something to go on with. */
  woken = false;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** How many requests and messages are under way. */
  get load(): number {
    return this.#calls.length + this.#packets.length;
  }

  /** Whether a process waits for anything. */
  isBusy(process: Process): boolean {
    return this.#calls.some((call) => call.process === process);
  }

  /** How a process reaches the broker. */
  wireOf(process: Process): Wire {
    const { chance, faults, nowMs, versionAt, receive, trace } = this.#options;
    return {
      call: (call) => this.#call(process, call),
      send: (subject, body) => {
        if (!process.alive) return;
        const label = (): string => `${process.name}: ${subject} ${printable(body)}`;
        this.send(label, () => receive(subject, body));
      },
      manage: async (answer) => {
        if (!process.alive) return new Promise(() => undefined);
        if (!chance.within(faults().refusals, 40)) return answer();
        trace(() => `${process.name}: JetStream's API does not answer`);
        throw new Error("timeout");
      },
      replicaVersion: (stream) => {
        if (!chance.within(faults().lag, 5)) return undefined;
        return Math.max(versionAt(stream, nowMs() - MAX_LAG_MS), versionAt(stream, nowMs()) - 1 - chance.below(6), 0);
      },
      isFull: (subject) => !subject.startsWith("timer.") && chance.within(faults().refusals, 60),
    };
  }

  /** Sends a message that may be lost, late, and repeated. */
  send(label: () => string, deliver: () => void): void {
    this.#packets.push({ label, deliver });
  }

  /** What the network can do now. */
  actions(): Action[] {
    const { silence, loss } = this.#options.faults();
    const actions: Action[] = [];
    for (const call of this.#calls) {
      if (call.answer !== undefined) actions.push({ weight: 32, run: () => this.#answer(call) });
      else {
        actions.push({ weight: 40, run: () => this.#complete(call) });
        actions.push({ weight: 8, run: () => this.#apply(call) });
      }
      if (silence > 0) actions.push({ weight: 3 * silence, run: () => this.#giveUp(call) });
    }
    for (const packet of this.#packets) {
      actions.push({ weight: 32, run: () => this.#deliver(packet) });
      if (loss > 0) actions.push({ weight: 3 * loss, run: () => this.#lose(packet) });
    }
    for (const straggler of this.#stragglers) actions.push({ weight: 8, run: () => this.#arrive(straggler) });
    return actions;
  }

  /** Lets the oldest thing under way arrive; false if there is nothing. */
  proceed(): boolean {
    const [straggler] = this.#stragglers;
    const [call] = this.#calls;
    const [packet] = this.#packets;
    if (straggler !== undefined) this.#arrive(straggler);
    else if (call?.answer !== undefined) this.#answer(call);
    else if (call !== undefined) this.#complete(call);
    else if (packet !== undefined) this.#deliver(packet);
    else return false;
    return true;
  }

  /** The clock goes on: what is too old by then is given up before. */
  expireUntil(nowMs: number): void {
    for (const call of this.#calls.filter(({ sentMs }) => sentMs + CALL_TIMEOUT_MS < nowMs)) this.#giveUp(call);
    for (const late of this.#stragglers.filter(({ untilMs }) => untilMs < nowMs)) drop(this.#stragglers, late);
  }

  /** A process has died: nobody hears its answers; what it had sent may arrive or not. */
  forget(process: Process): void {
    for (const pending of this.#calls.filter((call) => call.process === process)) {
      drop(this.#calls, pending);
      if (pending.answer === undefined) this.#straggle(pending, this.#options.chance.oneIn(2));
    }
  }

  #call<T>(process: Process, call: BrokerCall<T>): Promise<T> {
    if (!process.alive) return new Promise(() => undefined);
    return new Promise<T>((resolve, reject) => {
      this.#calls.push({
        process,
        call,
        sentMs: this.#options.nowMs(),
        resolve: resolve as (value: unknown) => void,
        reject,
        answer: undefined,
      });
    });
  }

  #complete(pending: PendingCall): void {
    this.#apply(pending);
    this.#answer(pending);
  }

  #apply(pending: PendingCall): void {
    const answer = answerTo(pending.call);
    pending.answer = answer;
    this.#trace(pending, () => describe(answer));
  }

  #answer(pending: PendingCall): void {
    drop(this.#calls, pending);
    this.woken = true;
    const { answer } = pending;
    if (answer !== undefined && "error" in answer) pending.reject(answer.error);
    else pending.resolve(answer?.value);
  }

  /** No answer came in time. The request may have been carried out, may be yet, or not at all. */
  #giveUp(pending: PendingCall): void {
    drop(this.#calls, pending);
    this.woken = true;
    this.#trace(pending, () => (pending.answer === undefined ? "no answer" : "carried out, and no answer"));
    if (pending.answer === undefined) this.#straggle(pending, this.#options.chance.oneIn(3));
    try {
      pending.resolve(pending.call.unanswered());
    } catch (error) {
      pending.reject(error);
    }
  }

  #straggle({ process, call, sentMs }: PendingCall, arrives: boolean): void {
    const untilMs = sentMs + STRAGGLE_MS;
    if (!arrives || !call.writes || untilMs < this.#options.nowMs()) return;
    this.#stragglers.push({ call, sender: process.name, untilMs });
  }

  #arrive(straggler: Straggler): void {
    drop(this.#stragglers, straggler);
    const answer = answerTo(straggler.call);
    this.#options.trace(() => `${straggler.sender}: late: ${straggler.call.label()} -> ${describe(answer)}`);
  }

  #deliver(packet: Packet): void {
    const repeated = this.#options.chance.within(this.#options.faults().loss, 20);
    if (!repeated) drop(this.#packets, packet);
    this.woken = true;
    this.#options.trace(() => `${packet.label()}${repeated ? " (it will come again)" : ""}`);
    packet.deliver();
  }

  #lose(packet: Packet): void {
    drop(this.#packets, packet);
    this.#options.trace(() => `lost: ${packet.label()}`);
  }

  #trace({ process, call }: PendingCall, outcome: () => string): void {
    this.#options.trace(() => `${process.name}: ${call.label()} -> ${outcome()}`);
  }
}

function drop<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}

function printable(body: Uint8Array): string {
  const text = Buffer.from(body).toString("latin1");
  return /^[\x20-\x7e]*$/.test(text) ? text : `(${body.length} bytes)`;
}

/** The broker's answer; what it refuses is one, and what else is thrown is a defect of the simulation. */
function answerTo(call: BrokerCall<unknown>): Answer {
  try {
    return { value: call.apply() };
  } catch (error) {
    if (error instanceof JetStreamApiError) return { error };
    throw error;
  }
}

function describe(answer: Answer): string {
  return "error" in answer ? String(answer.error) : describeValue(answer.value);
}

function describeValue(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "nothing" : value.map(describeValue).join(", ");
  if (typeof value !== "object" || value === null) return String(value);
  if ("kind" in value)
    return "sequence" in value ? `${String(value.kind)} as ${String(value.sequence)}` : String(value.kind);
  return "sequence" in value ? String(value.sequence) : "answered";
}
