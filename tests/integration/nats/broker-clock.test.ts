// A coordinator's time, taken from a real nats-server by a machine whose own clock is wrong.
import { expect, test } from "vitest";
import { type BrokerClock, openBrokerClock } from "../../../lib/nats/broker-clock.ts";
import { openMeshLog } from "../../support/mesh-log.ts";
import { MovedClock } from "../index/system-clock.ts";

const DAY_MS = 86_400_000;
/** What an answer may take on a machine that does other work beside. */
const ROUND_TRIP_MS = 2_000;

interface Setup extends AsyncDisposable {
  readonly clock: BrokerClock;
  readonly wall: MovedClock;
  readonly aheads: number[];
  readonly troubles: unknown[];
  killBroker(): Promise<void>;
}

async function setup(wallMs: number): Promise<Setup> {
  const stack = new AsyncDisposableStack();
  const log = stack.use(await openMeshLog());
  const wall = new MovedClock(wallMs);
  const aheads: number[] = [];
  const troubles: unknown[] = [];
  const clock = stack.use(
    await openBrokerClock({
      manager: log.manager,
      local: wall,
      intervalMs: 10,
      onWallOff: (aheadMs) => aheads.push(aheadMs),
      onTrouble: (error) => troubles.push(error),
    }),
  );
  const killBroker = (): Promise<void> => log.nats.kill();
  return { clock, wall, aheads, troubles, killBroker, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** By how much a time differs from this machine's, which is the broker's too, in whole round trips. */
function offBy(ms: number): number {
  return Math.abs(Math.trunc((ms - Date.now()) / ROUND_TRIP_MS));
}

test.for([DAY_MS, -DAY_MS])(
  "a machine whose clock is off by %i ms has the broker's time from the start",
  async (ms) => {
    await using s = await setup(Date.now() + ms);
    expect(offBy(s.clock.now())).toBe(0);
    expect(s.aheads.map((aheadMs) => offBy(Date.now() + aheadMs - ms))).toEqual([0]);
  },
);

test("each jump of the wall clock is told once, and changes nothing", async () => {
  await using s = await setup(Date.now());
  s.wall.ms += DAY_MS;
  await expect.poll(() => s.aheads.length).toBe(1);
  expect(offBy(s.clock.now())).toBe(0);
  s.wall.ms -= 2 * DAY_MS;
  await expect.poll(() => s.aheads.length).toBe(2);
  expect(s.aheads.map(Math.sign)).toEqual([1, -1]);
  expect(offBy(s.clock.now())).toBe(0);
});

test("a broker that is gone leaves the time to go on", { timeout: 20_000 }, async () => {
  await using s = await setup(0);
  await s.killBroker();
  await expect.poll(() => s.troubles.length, { timeout: 15_000 }).toBeGreaterThan(0);
  expect(offBy(s.clock.now())).toBe(0);
});
