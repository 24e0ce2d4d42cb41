// How much the log of tasks may still take. New tasks are refused while there is room left: whatever was accepted must be able to end,
// and every step of it is a message in the same log. They are refused too while the log of outputs has no room for what they would stream:
// an attempt whose output is not taken can only wait for its time to run out.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { OUTPUT_STREAM, TASKS_STREAM } from "../wire/subjects.ts";
import { brokerUnavailable, storageFull } from "./broker-errors.ts";
import { askThrough } from "./interruptions.ts";

/** The share of each log that is kept for the events, retries and outputs of tasks that were accepted. */
const RESERVE = 0.1;

/**
 * How old a reading may be, in milliseconds: other coordinators fill the same log, and while it is far from full that takes them a while.
 * The longest is for a log without a limit, too, which only an operator changes.
 */
const FRESH_MS: { readonly least: number; readonly most: number } = { least: 100, most: 2_000 };

/** How fast others may fill a log, in bytes a millisecond: about what a broker's disk takes. */
const FILLED_PER_MS = 100_000;

/** How often the log is asked before a task is refused: with a fresh reading in hand, what others took meanwhile is known. */
const MAX_READS = 3;

/** What is needed to read how full the logs are. */
export interface LogRoomParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
}

/** Admits tasks into the log. */
export class LogRoom {
  readonly #parts: LogRoomParts;
  readonly #monotonicMs: () => number;
  /** How many bytes new tasks may still take, as it was read last. Infinity for a log without a limit. */
  #free = 0;
  /** Stored by this process since then. */
  #stored = 0;
  /** Admitted, but not known to be stored yet. */
  #inFlight = 0;
  #freshUntilMs = -Infinity;
  #known = false;
  #reading: Promise<void> | undefined;

  constructor(parts: LogRoomParts, monotonicMs: () => number) {
    this.#parts = parts;
    this.#monotonicMs = monotonicMs;
  }

  /**
   * Takes room for tasks; `size` says for how many bytes, and is asked only if the log has a limit. Returns what must be called once they
   * are stored, or will not be. Throws STORAGE_FULL and BROKER_UNAVAILABLE.
   */
  async admit(size: () => number): Promise<() => void> {
    if (!this.#known) await this.#read();
    const bytes = this.#free === Infinity ? 0 : size();
    for (let reads = 0; this.#stored + this.#inFlight + bytes > this.#free; reads += 1) {
      if (reads === MAX_READS) throw storageFull();
      await this.#read();
    }
    // Nobody has to wait for what is news to the next one; if it fails, the task's own write fails too.
    if (this.#monotonicMs() > this.#freshUntilMs) this.#read().catch(() => undefined);
    this.#inFlight += bytes;
    return () => {
      this.#inFlight -= bytes;
      this.#stored += bytes;
    };
  }

  async #read(): Promise<void> {
    this.#reading ??= this.#ask().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  async #ask(): Promise<void> {
    // What is stored while the broker is asked may or may not be in its answer: it stays counted.
    const before = this.#stored;
    const [free, outputsFree] = await Promise.all([this.#freeIn(TASKS_STREAM), this.#freeIn(OUTPUT_STREAM)]);
    // Until then nobody can have taken more than half of it.
    const freshMs = Math.min(free, outputsFree) / 2 / FILLED_PER_MS;
    // How much a task will stream is not known when it is submitted: some room must be left, and then it may be used.
    this.#free = outputsFree > 0 ? free : 0;
    this.#stored -= before;
    this.#freshUntilMs = this.#monotonicMs() + Math.min(Math.max(freshMs, FRESH_MS.least), FRESH_MS.most);
    this.#known = true;
  }

  /** What a log may still take before its reserve. Infinity for one without a limit. */
  async #freeIn(stream: string): Promise<number> {
    const { connection, manager } = this.#parts;
    const info = askThrough(connection, () => manager.streams.info(stream));
    const { state, config } = await info.catch((cause: unknown) => {
      throw brokerUnavailable(cause);
    });
    return config.max_bytes > 0 ? config.max_bytes * (1 - RESERVE) - state.bytes : Infinity;
  }
}
