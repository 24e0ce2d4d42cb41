// Readers of results: each follows one task through the product's own reader, is cut off at any time, and goes on from its cursor at any
// coordinator. However that goes, it must have got the same as somebody who reads everything at the end.
import type { StreamResultsResponse } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { MeshError, type MeshErrorReason } from "../../../lib/core/mesh-error.ts";
import { DEFAULT_TENANT } from "../../../lib/core/names.ts";
import { type Position, START } from "../../../lib/core/result-order.ts";
import { EventReader } from "../../../lib/nats/event-reader.ts";
import type { LiveHub, LiveMessage, LiveTake } from "../../../lib/nats/live-hub.ts";
import { OutputLog } from "../../../lib/nats/output-log.ts";
import { TaskLog } from "../../../lib/nats/task-log.ts";
import { decodeCursor } from "../../../lib/wire/cursor.ts";
import { ResultReader } from "../../../services/coordinator/results/result-reader.ts";
import { openResultSource, type ResultLogs } from "../../../services/coordinator/results/result-source.ts";
import type { Waits } from "../../../services/coordinator/results/sleeper.ts";
import type { MemoryBroker } from "../broker/memory-broker.ts";
import { type MemoryPorts, openMemoryPorts } from "../broker/memory-ports.ts";
import { asStored, type MemoryMessage } from "../broker/memory-stream.ts";
import { quickWire } from "../broker/quick-wire.ts";
import type { SimulatedCoordinator } from "./coordinator.ts";
import type { Action, Network } from "./network.ts";
import type { Faults } from "./scenario.ts";
import type { Witness } from "./witness.ts";

/** What readers live in. */
export interface ReadersOptions {
  /** The task of each reader. */
  readonly taskIds: readonly string[];
  readonly broker: MemoryBroker;
  readonly network: Network;
  readonly witness: Witness;
  readonly nowMs: () => number;
  readonly faults: () => Faults;
  readonly coordinator: () => SimulatedCoordinator;
  readonly trace: (line: () => string) => void;
}

/** One call of StreamResults. */
interface Stream {
  readonly by: SimulatedCoordinator;
  readonly live: LiveMessage[];
  readonly notify: () => void;
  /** Ends the wait that it is in; undefined while it does not wait. */
  wake: ((reason: "news" | "tick") => void) | undefined;
  news: boolean;
}

interface Reader {
  readonly name: string;
  readonly taskId: string;
  readonly got: string[];
  cursor: string;
  ordinal: number;
  ended: boolean;
  stream: Stream | undefined;
}

const CLOCK_FREE = { keepAliveMs: 15_000, patienceMs: 30_000, kinds: new Set<never>() };

/** Why a stream may end before its task has. */
const PASSING: ReadonlySet<MeshErrorReason> = new Set(["BROKER_UNAVAILABLE", "TASK_NOT_FOUND"]);

/** How often a reader looks in vain, once nothing goes wrong, before it is told that it hears nothing. */
const MAX_IDLE_TICKS = 20;

/** All readers. */
export class SimulatedReaders {
  readonly #options: ReadersOptions;
  readonly #readers: readonly Reader[];
  #idleTicks = 0;

  constructor(options: ReadersOptions) {
    this.#options = options;
    this.#readers = options.taskIds.map((taskId, i) => ({
      name: `reader ${i + 1}`,
      taskId,
      got: [],
      cursor: "",
      ordinal: 0,
      ended: false,
      stream: undefined,
    }));
  }

  /** Sends what was stored to those who follow its task. */
  publish(taskId: string, message: MemoryMessage, previous: number): void {
    for (const { name, taskId: followed, stream } of this.#readers) {
      if (followed !== taskId || stream === undefined) continue;
      const live = { stored: asStored(message), previous };
      this.#options.network.send(
        () => `${name}: hears of ${message.sequence} on ${message.subject}`,
        () => {
          stream.live.push(live);
          stream.notify();
        },
      );
    }
  }

  /** What readers can do now. */
  actions(): Action[] {
    const { loss } = this.#options.faults();
    const actions: Action[] = [];
    for (const reader of this.#readers) {
      const { stream, ended } = reader;
      if (ended) continue;
      if (stream === undefined || !stream.by.alive) actions.push({ weight: 8, run: () => this.#open(reader) });
      else if (loss > 0) actions.push({ weight: loss, run: () => this.#cut(reader) });
      if (stream?.wake !== undefined) actions.push({ weight: 8, run: () => this.#tick(stream) });
    }
    return actions;
  }

  /** Lets a reader go on whose task has ended; false if all have heard so. */
  proceed(hasEnded: (taskId: string) => boolean): boolean {
    const { witness } = this.#options;
    const reader = this.#readers.find(({ ended, taskId }) => !ended && hasEnded(taskId) && !witness.wasPurged(taskId));
    if (reader === undefined) return false;
    this.#idleTicks += 1;
    if (this.#idleTicks > MAX_IDLE_TICKS * this.#readers.length) {
      const what = `${reader.name} never hears of the end of ${reader.taskId}`;
      witness.broken("4: every reader gets every event and output once, in order", what);
      return false;
    }
    const { stream } = reader;
    if (stream === undefined || !stream.by.alive) this.#open(reader);
    else if (stream.wake !== undefined) this.#tick(stream);
    return true;
  }

  /** Compares what every reader got with what somebody gets who reads everything now. */
  async checkEnd(): Promise<void> {
    const { witness } = this.#options;
    for (const { name, taskId, ended, got } of this.#readers) {
      if (!ended || witness.wasPurged(taskId)) continue;
      const all = await this.readAll(taskId);
      if (all.length === got.length && all.every((key, i) => key === got[i])) continue;
      witness.broken(
        "4: every reader gets every event and output once, in order",
        `${name} got ${got.join(", ") || "nothing"} of ${taskId}, instead of ${all.join(", ")}`,
      );
    }
  }

  /** Everything that a reader gets of an ended task, if nothing goes wrong. */
  async readAll(taskId: string): Promise<readonly string[]> {
    const { broker, nowMs } = this.#options;
    const logs = logsOf(openMemoryPorts(broker, quickWire(broker)), silentHub());
    const waits: Waits = {
      sleep: () => Promise.reject(new Error("there is nothing to wait for")),
      pause: () => Promise.reject(new Error("there is nothing to wait for")),
      check: () => undefined,
    };
    using source = openResultSource(logs, DEFAULT_TENANT, taskId, () => undefined);
    const clock = { now: nowMs, monotonicMs: nowMs };
    const all: string[] = [];
    for await (const message of new ResultReader({ ...CLOCK_FREE, source, waits, clock, position: START }).read()) {
      const key = keyOf(message);
      if (key !== undefined) all.push(key);
    }
    return all;
  }

  #open(reader: Reader): void {
    const { coordinator, network, trace } = this.#options;
    const by = coordinator();
    trace(() => `${reader.name}: reads ${reader.taskId} at ${by.name}, after ${reader.ordinal}`);
    const stream: Stream = {
      by,
      live: [],
      wake: undefined,
      news: false,
      notify: () => {
        if (stream.wake === undefined) stream.news = true;
        else this.#wake(stream, "news");
      },
    };
    reader.stream = stream;
    network.woken = true;
    this.#read(reader, stream).catch((error: unknown) => {
      if (reader.stream !== stream || !by.alive) return;
      reader.stream = undefined;
      trace(() => `${reader.name}: is told ${String(error)}`);
      if (error instanceof MeshError && PASSING.has(error.reason)) return;
      // What follows its cursor may have been purged, and its task may be another one by now.
      if (this.#options.witness.wasPurged(reader.taskId)) reader.ended = true;
      if (reader.ended) return;
      const what = `${reader.name} of ${reader.taskId}: ${String(error)}`;
      this.#options.witness.broken("4: every reader gets every event and output once, in order", what);
    });
  }

  async #read(reader: Reader, stream: Stream): Promise<void> {
    const { nowMs } = this.#options;
    const waits: Waits = {
      sleep: () => {
        if (!stream.news) return new Promise((resolve) => (stream.wake = resolve));
        stream.news = false;
        return Promise.resolve("news");
      },
      pause: () => new Promise((resolve) => (stream.wake = () => resolve())),
      check: () => undefined,
    };
    const logs = logsOf(stream.by.ports, hubOf(stream));
    using source = openResultSource(logs, DEFAULT_TENANT, reader.taskId, stream.notify);
    const clock = { now: nowMs, monotonicMs: nowMs };
    const position: Position | undefined =
      reader.cursor === "" ? START : decodeCursor(DEFAULT_TENANT, reader.taskId, reader.cursor);
    if (position === undefined) throw new Error(`${reader.cursor} is no cursor`);
    const results = new ResultReader({ ...CLOCK_FREE, source, waits, clock, position });
    for await (const message of results.read()) {
      // Whoever was cut off gets nothing more of this stream.
      if (reader.stream !== stream || !stream.by.alive) return;
      this.#get(reader, message);
    }
    if (reader.stream === stream && stream.by.alive) reader.ended = true;
  }

  #get(reader: Reader, message: StreamResultsResponse): void {
    this.#idleTicks = 0;
    reader.cursor = message.cursor;
    const key = keyOf(message);
    if (key === undefined) return;
    const { witness, trace } = this.#options;
    trace(() => `${reader.name}: gets ${key}`);
    if (Number(message.sequence) !== reader.ordinal + 1 && !witness.wasPurged(reader.taskId)) {
      const what = `${reader.name} of ${reader.taskId} gets number ${message.sequence} after ${reader.ordinal}`;
      witness.broken("4: every reader gets every event and output once, in order", what);
    }
    reader.ordinal = Number(message.sequence);
    reader.got.push(key);
  }

  #cut(reader: Reader): void {
    this.#options.trace(() => `${reader.name}: is cut off`);
    reader.stream = undefined;
  }

  #tick(stream: Stream): void {
    this.#wake(stream, "tick");
  }

  #wake(stream: Stream, reason: "news" | "tick"): void {
    const { wake } = stream;
    stream.wake = undefined;
    this.#options.network.woken = true;
    wake?.(reason);
  }
}

/** What tells a message of the stream from others; undefined for what is only said, not counted. */
function keyOf({ kind }: StreamResultsResponse): string | undefined {
  if (kind.case === "stateChange") return `revision ${kind.value.status?.revision}`;
  if (kind.case !== "output") return undefined;
  const { agentId, attempt, output } = kind.value;
  return `output ${output?.index} of ${agentId} in attempt ${attempt}`;
}

function logsOf({ connection, manager, publisher, reader }: MemoryPorts, hub: LiveHub): ResultLogs {
  return {
    taskLog: new TaskLog({ connection, manager, publisher, reader }),
    eventReader: new EventReader({ connection, reader }),
    outputLog: new OutputLog({ connection, publisher, reader }),
    hub,
  };
}

function hubOf(stream: Stream): LiveHub {
  const take = (): LiveTake => {
    const message = stream.live.shift();
    return message === undefined ? { kind: "nothing" } : { kind: "message", message };
  };
  const hub: Pick<LiveHub, "watch"> = { watch: () => ({ take, [Symbol.dispose]: () => undefined }) };
  return hub as LiveHub;
}

function silentHub(): LiveHub {
  const take = (): LiveTake => ({ kind: "nothing" });
  const hub: Pick<LiveHub, "watch"> = { watch: () => ({ take, [Symbol.dispose]: () => undefined }) };
  return hub as LiveHub;
}
