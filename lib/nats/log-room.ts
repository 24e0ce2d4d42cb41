// How much the log of tasks may still take. New tasks are refused while there is room left: whatever was accepted must be able to end,
// and every step of it is a message in the same log.

import type { JetStreamManager } from "@nats-io/jetstream";
import { TASKS_STREAM } from "../wire/subjects.ts";
import { brokerUnavailable, storageFull } from "./task-log.ts";

/** The share of the log that is kept for the events and retries of tasks that were accepted. */
const RESERVE = 0.1;

/** How old a reading may be, in milliseconds: other coordinators fill the same log. */
const FRESH_MS = 100;

/** The same where the log has no limit, which only an operator changes. */
const UNLIMITED_FRESH_MS = 10_000;

/** How often the log is asked before a task is refused: with a fresh reading in hand, what others took meanwhile is known. */
const MAX_READS = 3;

/** Admits tasks into the log. */
export class LogRoom {
  readonly #manager: JetStreamManager;
  readonly #monotonicMs: () => number;
  /** How many bytes may still be admitted, as it was read last. */
  #free = 0;
  /** Admitted since then, at most this many bytes. */
  #taken = 0;
  #freshUntilMs = -Infinity;
  #known = false;
  #reading: Promise<void> | undefined;

  constructor(manager: JetStreamManager, monotonicMs: () => number) {
    this.#manager = manager;
    this.#monotonicMs = monotonicMs;
  }

  /** Takes room for tasks of at most so many bytes. Throws STORAGE_FULL and BROKER_UNAVAILABLE. */
  async admit(bytes: number): Promise<void> {
    for (let reads = 0; reads < MAX_READS; reads += 1) {
      if (this.#known && this.#taken + bytes <= this.#free) {
        this.#taken += bytes;
        // Nobody has to wait for what is news to the next one; if it fails, the task's own write fails too.
        if (this.#monotonicMs() > this.#freshUntilMs) this.#read().catch(() => undefined);
        return;
      }
      await this.#read();
    }
    throw storageFull();
  }

  async #read(): Promise<void> {
    this.#reading ??= this.#ask().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  async #ask(): Promise<void> {
    const before = this.#taken;
    const { state, config } = await this.#manager.streams.info(TASKS_STREAM).catch((cause: unknown) => {
      throw brokerUnavailable(cause);
    });
    const limited = config.max_bytes > 0;
    this.#free = limited ? config.max_bytes * (1 - RESERVE) - state.bytes : Infinity;
    this.#taken -= before;
    this.#freshUntilMs = this.#monotonicMs() + (limited ? FRESH_MS : UNLIMITED_FRESH_MS);
    this.#known = true;
  }
}
