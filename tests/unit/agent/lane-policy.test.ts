import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type LaneState, nextStart, planPulls, type Room } from "../../../sdk/agent/lane-policy.ts";

function lane(change: Partial<LaneState> = {}): LaneState {
  return { priority: 5, phase: "idle", wanted: 0, held: 0, dry: false, pausedUntilMs: 0, suspended: false, ...change };
}

function room(change: Partial<Room> = {}): Room {
  return { free: 1, ahead: 0, nowMs: 1_000, turn: 0, ...change };
}

test("a lane of which nothing is known is asked for as much as there is room", () => {
  expect(planPulls([lane()], room({ free: 4, ahead: 2 }))).toEqual([{ lane: 0, kind: "batch", count: 6 }]);
});

test("a lane known to be empty gets one standing pull", () => {
  expect(planPulls([lane({ dry: true })], room({ free: 4 }))).toEqual([{ lane: 0, kind: "standing" }]);
});

test("lower lanes are not asked while a higher lane may fill the room", () => {
  const lanes = [lane({ priority: 15 }), lane({ priority: 5 }), lane({ priority: 1, dry: true })];
  expect(planPulls(lanes, room({ free: 2 }))).toEqual([{ lane: 0, kind: "batch", count: 2 }]);
});

test("what a lower lane holds takes no room from a higher one", () => {
  const lanes = [lane({ priority: 15 }), lane({ priority: 5, held: 9 })];
  expect(planPulls(lanes, room({ free: 2 }))).toEqual([{ lane: 0, kind: "batch", count: 2 }]);
});

test("once the higher lanes are empty the next is asked, and they wait with standing pulls", () => {
  const lanes = [lane({ priority: 15, dry: true }), lane({ priority: 5 })];
  expect(planPulls(lanes, room({ free: 2 }))).toEqual([
    { lane: 0, kind: "standing" },
    { lane: 1, kind: "batch", count: 2 },
  ]);
});

test("a full agent sends nothing, but one with tiny tasks pulls ahead of its slots", () => {
  expect(planPulls([lane(), lane({ dry: true })], room({ free: 0 }))).toEqual([]);
  expect(planPulls([lane({ dry: true })], room({ free: 0, ahead: 4 }))).toEqual([]);
  expect(planPulls([lane()], room({ free: 0, ahead: 4 }))).toEqual([{ lane: 0, kind: "batch", count: 4 }]);
});

test("equals share the room, and a single slot goes round", () => {
  const lanes = [lane(), lane(), lane()];
  expect(planPulls(lanes, room({ free: 7 })).map((pull) => "count" in pull && pull.count)).toEqual([3, 2, 2]);
  expect([0, 1, 2, 3].map((turn) => planPulls(lanes, room({ turn }))[0]!.lane)).toEqual([0, 1, 2, 0]);
});

test("a lane that pauses after an error is left alone until its pause is over", () => {
  expect(planPulls([lane({ pausedUntilMs: 1_001 })], room())).toEqual([]);
  expect(planPulls([lane({ pausedUntilMs: 1_000 })], room())).toHaveLength(1);
});

test("a lane that is being asked keeps lower lanes waiting, whatever room is left", () => {
  const lanes = [lane({ priority: 15, phase: "batch", wanted: 1 }), lane({ priority: 5 })];
  expect(planPulls(lanes, room({ free: 8 }))).toEqual([]);
});

test.for([
  ["nothing held", [lane({ dry: true }), lane({ dry: true })], -1, -1],
  ["the highest held", [lane({ priority: 15, dry: true }), lane({ priority: 10, held: 1 }), lane({ held: 1 })], -1, 1],
  ["a higher lane is being asked", [lane({ priority: 15, phase: "batch", wanted: 1 }), lane({ held: 1 })], -1, -1],
  ["a higher lane is to be asked", [lane({ priority: 15 }), lane({ held: 1 })], -1, -1],
  ["a higher lane pauses", [lane({ priority: 15, pausedUntilMs: 1_001 }), lane({ held: 1 })], -1, 1],
  ["a higher lane is known to be empty", [lane({ priority: 15, phase: "standing" }), lane({ held: 1 })], -1, 1],
  ["equals take turns", [lane({ held: 1 }), lane({ held: 1 })], 0, 1],
  ["and begin again", [lane({ held: 1 }), lane({ held: 1 })], 1, 0],
] as [string, LaneState[], number, number][])("what starts next: %s", ([, lanes, last, expected]) => {
  expect(nextStart(lanes, last, 1_000)).toBe(expected);
});

const anyLanes = fc
  .array(
    fc.record({
      priority: fc.constantFrom(1, 5, 10, 15),
      phase: fc.constantFrom("idle" as const, "standing" as const, "batch" as const),
      wanted: fc.nat(8),
      held: fc.nat(8),
      dry: fc.boolean(),
      pausedUntilMs: fc.constantFrom(0, 2_000),
      suspended: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((lanes) => lanes.toSorted((a, b) => b.priority - a.priority));

test("a plan never asks for more than the room, never twice on a lane, and never on a busy, pausing or suspended one", () => {
  fc.assert(
    fc.property(anyLanes, fc.nat(16), fc.nat(16), fc.nat(50), (lanes, free, ahead, turn) => {
      const pulls = planPulls(lanes, room({ free, ahead, turn }));
      const asked = pulls.reduce((sum, pull) => sum + (pull.kind === "batch" ? pull.count : 0), 0);
      expect(asked).toBeLessThanOrEqual(free + ahead);
      expect(new Set(pulls.map((pull) => pull.lane)).size).toBe(pulls.length);
      for (const pull of pulls) {
        const { phase, pausedUntilMs, suspended, dry } = lanes[pull.lane]!;
        expect([phase, pausedUntilMs <= 1_000, suspended]).toEqual(["idle", true, false]);
        expect(pull.kind).toBe(dry ? "standing" : "batch");
        if (pull.kind === "standing") expect(free).toBeGreaterThan(0);
      }
    }),
  );
});

test("an agent whose lanes are all idle and known never sleeps while it has a free slot", () => {
  fc.assert(
    fc.property(anyLanes, fc.integer({ min: 1, max: 16 }), (lanes, free) => {
      const idle = lanes.map((one) => ({
        ...one,
        phase: "idle" as const,
        wanted: 0,
        held: 0,
        pausedUntilMs: 0,
        suspended: false,
      }));
      const pulls = planPulls(idle, room({ free }));
      expect(pulls.length).toBeGreaterThan(0);
      // Every lane that the plan leaves out stands below one that may fill all the room.
      const batch = pulls.some((pull) => pull.kind === "batch");
      if (!batch) expect(pulls).toHaveLength(idle.length);
    }),
  );
});

test("what starts next is always of the highest priority that holds anything", () => {
  fc.assert(
    fc.property(anyLanes, fc.integer({ min: -1, max: 11 }), (lanes, last) => {
      const index = nextStart(lanes, last, 1_000);
      if (index < 0) return;
      const startable = lanes.filter((one) => one.held > 0 && !one.suspended);
      const highest = Math.max(...startable.map((one) => one.priority));
      expect(lanes[index]).toMatchObject({ priority: highest, suspended: false });
      expect(lanes[index]!.held).toBeGreaterThan(0);
    }),
  );
});
