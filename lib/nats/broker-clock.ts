// The broker's clock, by which coordinators decide: it alone fires timers, stamps messages and lets leases end, and it is one for all.
//
// The server that leads the stream of timers is asked, because it is the one that fires them. In a cluster the servers' clocks differ a
// little: the time then moves by as much when another one becomes the leader. What that means for timers is within their slack.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { Clock } from "../core/clock.ts";
import { type ClockObservation, ObservedClock } from "../core/observed-clock.ts";
import { pause } from "../time/pause.ts";
import { TIMERS_STREAM } from "../wire/subjects.ts";

/** What the clock needs. */
export interface BrokerClockOptions {
  readonly manager: JetStreamManager;
  /** This machine's clocks. The wall clock counts only until the broker has answered for the first time. */
  readonly local: Clock;
  /** How often the broker is asked, in milliseconds. Default 5,000. */
  readonly intervalMs?: number;
  /** Hears by how much the wall clock is ahead, negative if behind, when that is more than WALL_OFF_MS; once for each jump. */
  readonly onWallOff: (aheadMs: number) => void;
  /** Hears why the broker was not asked; it is asked again. */
  readonly onTrouble: (error: unknown) => void;
}

/** By how much a wall clock may be off without a word, in milliseconds. */
export const WALL_OFF_MS = 5_000;

/** A clock that goes by the broker's, until it is disposed. */
export interface BrokerClock extends Clock, AsyncDisposable {}

/** Asks the broker for its time, now and every few seconds. Resolves after the first answer, or when there was none. */
export async function openBrokerClock(options: BrokerClockOptions): Promise<BrokerClock> {
  const { manager, local, intervalMs = 5_000, onWallOff, onTrouble } = options;
  const clock = new ObservedClock(local);
  const stopping = new AbortController();
  let toldAheadMs = 0;

  const look = async (): Promise<void> => {
    try {
      const seen = await orCut(ask(manager, local), stopping.signal);
      if (seen === undefined) return;
      clock.observe(seen);
    } catch (error) {
      if (!stopping.signal.aborted) onTrouble(error);
      return;
    }
    const aheadMs = clock.wallAheadMs();
    if (Math.abs(aheadMs) <= WALL_OFF_MS) toldAheadMs = 0;
    else if (Math.abs(aheadMs - toldAheadMs) > WALL_OFF_MS) {
      toldAheadMs = aheadMs;
      onWallOff(aheadMs);
    }
  };
  const run = async (): Promise<void> => {
    while (await pause(intervalMs, stopping.signal)) await look();
  };

  await look();
  const running = run();
  return {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
    },
  };
}

/** Nobody who stops waits for the answer of a broker that is gone. */
async function orCut<T>(answer: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const cut = Promise.withResolvers<undefined>();
  const stop = (): void => cut.resolve(undefined);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([answer, cut.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function ask(manager: JetStreamManager, local: Clock): Promise<ClockObservation> {
  const sentMs = local.monotonicMs();
  const { ts = "" } = await manager.streams.info(TIMERS_STREAM);
  const receivedMs = local.monotonicMs();
  const shownMs = Date.parse(ts);
  if (Number.isNaN(shownMs)) throw new Error(`the broker's time is no time: ${ts}`);
  return { sentMs, shownMs, receivedMs };
}
