// What a feed of results does between its messages: whoever stops it is heard, whatever it is at.
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import type { StreamResultsResponse } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { DispatchSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { START } from "../../../lib/core/result-order.ts";
import type { MessageSink } from "../../../lib/rpc/pushed-messages.ts";
import { KeepAliveWheel } from "../../../services/coordinator/results/keep-alive-wheel.ts";
import { ResultFeed } from "../../../services/coordinator/results/result-feed.ts";
import { ResultReader } from "../../../services/coordinator/results/result-reader.ts";
import type { ResultSource } from "../../../services/coordinator/results/result-source.ts";
import { Sleeper } from "../../../services/coordinator/results/sleeper.ts";

const KEEP_ALIVE_MS = 15_000;
const TASK = { tenant: "default", taskId: "t-1" };
const STORED = {
  ...TASK,
  dispatch: { message: create(DispatchSchema, { task: { taskId: "t-1" } }), sequence: 1, queue: "echo", priority: 5 },
  event: undefined,
  trace: { traceparent: "", tracestate: "" },
};
const unasked = (): never => {
  throw new Error("the log was asked");
};
/** A task of which nothing becomes. */
const SOURCE: ResultSource = {
  ...TASK,
  record: unasked,
  events: unasked,
  lastEvent: unasked,
  outputs: unasked,
  holdsOutput: unasked,
  take: () => ({ kind: "nothing" }),
};

test.for([
  ["stopped", (waits: Sleeper) => waits.stop("left"), "left"],
  ["drained", (_: Sleeper, drain: () => void) => drain(), "draining"],
] as const)("a feed that is %s while its last message is on its way ends at once", async ([, cut, why]) => {
  using wheel = new KeepAliveWheel(KEEP_ALIVE_MS);
  let draining = false;
  const sleepers = new Set<Sleeper>();
  const check = (): void => {
    if (draining) throw "draining";
  };
  const waits = new Sleeper({ wheel, sleepers, check });
  let nowMs = 0;
  const clock = { now: () => 0, monotonicMs: () => nowMs };
  const position = START;
  const options = { source: SOURCE, waits, clock, position, stored: STORED, keepAliveMs: KEEP_ALIVE_MS };
  const reader = new ResultReader({ ...options, kinds: new Set(), patienceMs: 0 });
  const told: unknown[] = [];
  const sink: MessageSink<StreamResultsResponse> = {
    async send({ kind }) {
      told.push(kind.case);
      // The snapshot is long in being taken; so it is followed by a sign of life, and then there is nothing to send.
      if (kind.case === "snapshot") nowMs += KEEP_ALIVE_MS;
      else {
        await new Promise(setImmediate);
        cut(waits, () => {
          draining = true;
          for (const sleeper of sleepers) sleeper.interrupt();
        });
      }
    },
    end: () => told.push("end"),
    fail: (error) => told.push(error),
  };
  const feed = new ResultFeed(sink);
  feed.start(() => ({ reader, listening: { waits, [Symbol.dispose]: () => waits[Symbol.dispose]() } }));
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  expect(told).toEqual(["snapshot", "keepAlive", why]);
  expect(sleepers.size).toBe(0);
});
