import { expect, test } from "vitest";
import type { DeliverySubject } from "../../../lib/wire/subjects.ts";
import { Puller } from "../../../sdk/agent/puller.ts";

const LANE = { queue: "q", stream: "S", createMs: 0 };

/** An agent of one lane that is known to be empty, so that a standing pull is out. */
async function anIdleAgent(
  slots: number,
  broker: { clustered: boolean; nowMs: number } = { clustered: false, nowMs: 0 },
): Promise<{
  readonly arrive: (change?: Partial<DeliverySubject>) => Promise<void>;
  readonly finish: () => Promise<void>;
  /** Looks for silent pulls at this time. */
  readonly check: (nowMs: number) => Promise<void>;
  /** What was pulled and started since the last look. */
  readonly seen: () => string[];
}> {
  const seen: string[] = [];
  let free = slots;
  let lastToken = "";
  const puller = new Puller<string>({
    link: {
      connected: true,
      clustered: broker.clustered,
      pullLimitMs: Number.POSITIVE_INFINITY,
      pull: (_subject, token, body) => {
        lastToken = token;
        seen.push(body.includes("no_wait") ? "batch" : "standing");
      },
    },
    clock: { now: () => 0, monotonicMs: () => broker.nowMs },
    concurrency: slots,
    freeSlots: () => free,
    start: (item) => {
      free -= 1;
      seen.push(`start ${item}`);
      // A handler that returns at once: its report is sent behind what runs now.
      queueMicrotask(() => seen.push(`report ${item}`));
    },
    onLaneMissing: () => undefined,
    onLaneAway: () => undefined,
  });
  puller.setLanes([{ ...LANE, consumer: "c", priority: 5 }]);
  await settled();
  puller.onStatus(lastToken, { code: 404, description: "No Messages" });
  await settled();
  expect(seen.splice(0)).toEqual(["batch", "standing"]);
  let sequence = 0;
  return {
    arrive: async (change = {}) => {
      sequence += 1;
      const facts = {
        stream: "S",
        consumer: "c",
        deliveries: 1,
        sequence,
        consumerSequence: sequence,
        storedMs: 0,
        pending: 0,
      };
      puller.arrived({ ...facts, ...change }, String(sequence));
      await settled();
    },
    finish: async () => {
      free += 1;
      puller.finished();
      await settled();
    },
    check: async (nowMs) => {
      broker.nowMs = nowMs;
      puller.check();
      await settled();
    },
    seen: () => seen.splice(0),
  };
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("behind a first delivery with nothing pending one standing pull is sent, after the report", async () => {
  const { arrive, seen } = await anIdleAgent(2);
  await arrive();
  expect(seen()).toEqual(["start 1", "report 1", "standing"]);
});

test("behind a first delivery with more pending, and behind a redelivery, there may be more", async () => {
  for (const change of [{ pending: 3 }, { deliveries: 2 }, { pending: Number.NaN }]) {
    const { arrive, seen } = await anIdleAgent(2);
    await arrive(change);
    expect(seen()).toEqual(["start 1", "report 1", "batch"]);
  }
});

test("what came while all slots were taken says nothing of the time when one is free", async () => {
  const { arrive, finish, seen } = await anIdleAgent(1);
  await arrive();
  expect(seen()).toEqual(["start 1", "report 1"]);
  await finish();
  expect(seen()).toEqual(["batch"]);
});

test.for([
  ["in a cluster, where another server may be lost with it", true, 4_500],
  ["of a server on its own, which is lost with the connection", false, 20_500],
] as const)("a pull is asked anew when it is silent for too long: %s", async ([, clustered, silenceMs]) => {
  const { check, seen } = await anIdleAgent(1, { clustered, nowMs: 0 });
  await check(silenceMs);
  expect(seen()).toEqual([]);
  await check(silenceMs + 1);
  expect(seen()).toEqual(["batch"]);
});
