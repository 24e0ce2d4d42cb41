// The board over a broker that only counts how often it is asked.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type Agent, AgentSchema, AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import type { LaneState } from "../../../lib/nats/lane-states.ts";
import { QueueBoard } from "../../../services/coordinator/queues/queue-board.ts";
import { handClock } from "../../support/hand-clock.ts";

function lane(queue: string, priority: number, change: Partial<LaneState> = {}): LaneState {
  return {
    tenant: "t",
    queue,
    priority,
    waiting: 0,
    inFlight: 0,
    deliveries: 0,
    deliveredSequence: 0,
    made: "first",
    ...change,
  };
}

function agent(agentId: string, queue: string, change: MessageInitShape<typeof AgentSchema> = {}): Agent {
  const capabilities = [{ type: "work", queue }];
  return create(AgentSchema, {
    agentId,
    capabilities,
    concurrency: 4,
    running: 1,
    state: AgentState.ACTIVE,
    ...change,
  });
}

function board(lanes: readonly LaneState[], agents: readonly Agent[] = []) {
  const clock = handClock();
  const asked: string[] = [];
  const pauses = new Map<string, { sinceMs: number; untilMs: number | undefined; reason: string }>();
  const made = new QueueBoard({
    states: {
      all: async () => {
        asked.push("all");
        return [...lanes];
      },
      of: async (_tenant, queue) => {
        asked.push(`of ${queue}`);
        return lanes.filter((one) => one.queue === queue);
      },
      oldestMs: async ({ queue, priority, waiting }) => {
        asked.push(`oldest ${queue} ${priority}`);
        return waiting === 0 ? undefined : 1_000 + priority;
      },
    },
    settings: {
      pauseOf: (_tenant, queue) => pauses.get(queue),
      get known() {
        return [...pauses.keys()].map((queue) => ({ tenant: "t", queue }));
      },
    },
    registry: { list: () => agents },
    clock,
  });
  return { board: made, clock, asked, pauses };
}

test("a queue shows its lanes, their sums, and the oldest task of all", async () => {
  const { board: shown } = board(
    [lane("a", 10, { waiting: 2, inFlight: 1 }), lane("a", 5, { waiting: 3, inFlight: 4 })],
    [
      agent("one", "a"),
      agent("two", "a", { running: 3 }),
      agent("leaves", "a", { state: AgentState.DRAINING }),
      agent("other", "b"),
    ],
  );
  expect((await shown.list("t", "", 10)).queues).toMatchObject([{ agentCount: 2, agentIds: [] }]);
  const queue = await shown.get("t", "a");
  expect(queue).toMatchObject({
    waitingCount: 5n,
    inFlightCount: 5n,
    agentCount: 2,
    agentIds: ["one", "two"],
    slotCount: 8,
    runningCount: 4,
    oldestCreateTime: { seconds: 1n, nanos: 5_000_000 },
  });
  expect(queue.lanes.map(({ waitingCount, inFlightCount }) => [waitingCount, inFlightCount])).toEqual([
    [0n, 0n],
    [2n, 1n],
    [3n, 4n],
    [0n, 0n],
  ]);
});

test("however many look, the broker is asked once a second", async () => {
  const { board: shown, clock, asked } = board([lane("a", 5), lane("b", 5)]);
  await Promise.all([shown.list("t", "", 10), shown.list("t", "a", 10), shown.list("t", "", 1)]);
  clock.advance(999);
  await shown.list("t", "", 10);
  expect(asked).toEqual(["all", "oldest a 5", "oldest b 5"]);
  clock.advance(1);
  await shown.list("t", "", 10);
  expect(asked.filter((what) => what === "all")).toHaveLength(2);
  asked.length = 0;
  await Promise.all([shown.get("t", "a"), shown.get("t", "a")]);
  expect(asked).toEqual(["of a", "oldest a 5"]);
  await shown.getNow("t", "a");
  expect(asked).toHaveLength(4);
});

test("only the queues of a page are looked into", async () => {
  const { board: shown, asked } = board([lane("c", 5), lane("a", 5), lane("b", 5)]);
  const page = await shown.list("t", "", 1);
  expect(page).toMatchObject({ queues: [{ name: "a" }], nextPageToken: "a" });
  expect(asked).toEqual(["all", "oldest a 5"]);
  expect(await shown.list("t", "a", 2)).toMatchObject({ queues: [{ name: "b" }, { name: "c" }], nextPageToken: "" });
});

test("a queue that is paused is there without a lane, until its pause is over", async () => {
  const { board: shown, clock, pauses } = board([]);
  pauses.set("a", { sinceMs: 0, untilMs: clock.now() + 5_000, reason: "why" });
  expect(await shown.list("t", "", 10)).toMatchObject({ queues: [{ name: "a", pause: { reason: "why" } }] });
  expect(await shown.get("t", "a")).toMatchObject({ waitingCount: 0n, lanes: [{}, {}, {}, {}] });
  clock.advance(5_000);
  expect((await shown.list("t", "", 10)).queues).toEqual([]);
  await expect(shown.get("t", "a")).rejects.toMatchObject({ reason: "QUEUE_NOT_FOUND" });
});

test("an answer that failed is not remembered", async () => {
  const { board: shown, asked } = board([]);
  await expect(shown.get("t", "a")).rejects.toMatchObject({ reason: "QUEUE_NOT_FOUND" });
  await expect(shown.get("t", "a")).rejects.toMatchObject({ reason: "QUEUE_NOT_FOUND" });
  expect(asked).toEqual(["of a", "of a"]);
});
