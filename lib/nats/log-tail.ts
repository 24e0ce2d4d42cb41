// Follows the log of tasks for an indexer, from a sequence on, for ever: every message that still stands, once, in order.
//
// It asks by batched direct gets instead of keeping a consumer. The only state is the reader's own position, so there is nothing on the
// server that a restart, an election or an idle hour could lose, and resuming is asking again. Measured at 70,000 messages a second in
// batches of 1,000, which is more than an index takes; the price is a poll of the stream's leader every 200 ms while nothing happens.
// What this process stored itself is not read back where it is known without a gap.

import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Clock } from "../core/clock.ts";
import { TASKS_STREAM } from "../wire/subjects.ts";
import type { DirectReader, StoredMessage } from "./direct-reader.ts";
import { pause } from "../time/pause.ts";
import type { KnownWrites } from "./recent-writes.ts";
import { readFromLeader } from "./stream-leader.ts";

/** What a tail needs. */
export interface LogTailOptions {
  readonly connection: NatsConnection;
  readonly reader: DirectReader;
  /** What this process stores itself. */
  readonly recent?: KnownWrites | undefined;
  readonly clock: Clock;
  /** The last sequence that the caller has; 0 to begin at the start. */
  readonly position: number;
  /** The creation time of the stream to which `position` belongs, as the tail told it; empty if there is none yet. */
  readonly created: string;
  /** The most messages of a batch that is read. Default 1,000. */
  readonly batchSize?: number;
  /** How often to look for news when there was none, in milliseconds. Default 200. */
  readonly pollMs?: number;
  /** Ends the tail. */
  readonly signal: AbortSignal;
  /** Hears why the log could not be read; the tail tries on. */
  readonly onTrouble: (error: unknown) => void;
}

/** A step of the tail. */
export interface LogBatch {
  /** What was stored, in order. May be empty. */
  readonly messages: readonly StoredMessage[];
  /** Everything up to this sequence has been handed over. Resume from here. */
  readonly position: number;
  /** The creation time of the stream. */
  readonly created: string;
  /** Everything that was stored before this time has been handed over; undefined while the tail is behind. */
  readonly asOfMs: number | undefined;
}

/** The stream is not the one to which the position belongs. Whatever was made of it must be made anew. */
export class LogReplacedError extends Error {
  override readonly name = "LogReplacedError";
}

/** Bounds what a batch may take of memory. A message is at most 1 MiB. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024;

/** The most known messages of a batch: they are in memory, and the more there are, the more tasks begin and end within one. */
const KNOWN_BATCH = 4_000;

/** A run of known messages is worth a step from here on. */
const SHORT_RUN = 100;

/** How long to wait for what is just being acknowledged, in milliseconds, before it is taken for what others stored. */
const ACKNOWLEDGED_MS = 20;

/**
 * For any other filter, though it matched as much, nats-server counts with every request how many of the stream's subjects it matches: a
 * third of its time while an index followed 100,000 tasks.
 */
const EVERYTHING = ">";

/** How long to wait after an unanswered read, in milliseconds. */
const TROUBLE_MS = 500;

/** An outdated leader may still answer for a moment after an election: only a stream that stays shorter has been replaced. */
const MAX_SHORT_ANSWERS = 20;

interface LogState {
  readonly created: string;
  readonly lastSequence: number;
}

/** Follows the log. Throws LogReplacedError; everything else is tried again. */
export async function* tailLog(options: LogTailOptions): AsyncGenerator<LogBatch, void, undefined> {
  const { clock, signal, pollMs = 200 } = options;
  let { position, created } = options;
  let short = 0;
  let manager: JetStreamManager | undefined;
  // Disposal forgets: a log that takes this one's place counts anew.
  using _kept = options.recent?.keep();
  while (!signal.aborted) {
    try {
      const asOfMs = clock.now();
      manager ??= await jetstreamManager(options.connection, { checkAPI: false });
      const state = await stateOfLog(manager);
      if (created !== "" && state.created !== created) throw new LogReplacedError("the stream was created anew");
      short = state.lastSequence < position ? short + 1 : 0;
      if (short > MAX_SHORT_ANSWERS) throw new LogReplacedError("the stream has lost what was read from it");
      created = state.created;
      while (position < state.lastSequence && !signal.aborted) {
        const step = await nextStep(options, position, state.lastSequence);
        if (step === undefined) break;
        position = step.position;
        yield { ...step, created, asOfMs: position >= state.lastSequence ? asOfMs : undefined };
      }
      if (position === state.lastSequence) yield { messages: [], position, created, asOfMs };
    } catch (error) {
      if (error instanceof LogReplacedError) throw error;
      if (signal.aborted) return;
      options.onTrouble(error);
      await pause(TROUBLE_MS, signal);
    }
    await pause(pollMs, signal);
  }
}

/** What follows the position; undefined if the replica that answered does not have it yet. */
async function nextStep(
  { connection, reader, recent, signal, batchSize = 1_000 }: LogTailOptions,
  position: number,
  lastSequence: number,
): Promise<Pick<LogBatch, "messages" | "position"> | undefined> {
  for (let waited = false; recent?.beginsWithin(position, batchSize) === true; waited = true) {
    const known = recent.after(position, KNOWN_BATCH);
    const reached = position + known.length;
    if (known.length >= SHORT_RUN || reached >= lastSequence) return { messages: known, position: reached };
    if (waited) break;
    await pause(ACKNOWLEDGED_MS, signal);
  }
  const from = { seq: position + 1, next_by_subj: EVERYTHING };
  const messages = await reader.read(TASKS_STREAM, { ...from, batch: batchSize, max_bytes: MAX_BATCH_BYTES });
  const last = messages.at(-1);
  if (last !== undefined) return { messages, position: last.sequence };
  // Either the rest was purged, or a replica that lags behind has answered. Only the leader's word may move the position over a gap.
  const next = await readFromLeader(connection, TASKS_STREAM, from);
  return next === undefined ? { messages, position: lastSequence } : undefined;
}

async function stateOfLog(manager: JetStreamManager): Promise<LogState> {
  const { created, state } = await manager.streams.info(TASKS_STREAM);
  return { created, lastSequence: state.last_seq };
}
