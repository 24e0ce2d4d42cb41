// Timers that a broker without room could not fire: nats-server 2.15 never tries them again by itself.
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { stateOf } from "../../../lib/core/task.ts";
import { TIMER_GRACE_MS } from "../../../lib/core/task-timers.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { firedMs } from "../../../lib/nats/timers.ts";
import { RetryPolicySchema } from "../../../gen/mycel/v1/retry_policy_pb.ts";
import { viewOf } from "../../../lib/wire/task-codec.ts";
import { durationFromMs } from "../../../lib/wire/time-codec.ts";
import { openDatabase } from "../../../services/coordinator/index/database.ts";
import { type LostTimers, openLostTimers } from "../../../services/coordinator/index/lost-timers.ts";
import { TaskTable } from "../../../services/coordinator/index/task-table.ts";
import { handleDelayedSubmission } from "../../../services/coordinator/reactors/delayed-submissions.ts";
import { fillStore, freeStore } from "../../faults/mesh/broker-actions.ts";
import { TENANT } from "../../support/mesh-log.ts";
import { MovedClock } from "../index/system-clock.ts";
import { openParts, type Parts } from "./open-parts.ts";

const MIB = 1024 * 1024;
const WAIT_MS = 3_000;

interface Setup extends AsyncDisposable {
  readonly parts: Parts;
  readonly clock: MovedClock;
  readonly lostTimers: LostTimers;
  /** Brings the rows up to the log. */
  catchUp(): Promise<void>;
}

async function setup(): Promise<Setup> {
  const stack = new AsyncDisposableStack();
  const parts = stack.use(await openParts({ maxFileBytes: 80 * MIB }));
  const { reader } = parts.log;
  const database = stack.adopt(openDatabase({ dataDir: "" }), (opened) => opened.close());
  const table = new TaskTable(database);
  const clock = new MovedClock(0);
  const lostTimers = stack.use(
    openLostTimers({
      rows: { database, table },
      log: parts.taskLog,
      reader,
      timers: parts.timers,
      clock,
      logger: silentLogger,
      intervalMs: 3_600_000,
    }),
  );
  await lostTimers.round();
  return {
    parts,
    clock,
    lostTimers,
    async catchUp() {
      const query = { seq: 1, next_by_subj: "task.>", batch: 1_000 };
      const messages = await reader.read("MYCEL_TASKS", query);
      table.apply({ messages, position: messages.at(-1)?.sequence ?? 0, created: "once" });
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Submits a task that waits, and sets its timer as a coordinator does. */
async function submitDelayed({ parts }: Setup, taskId: string, delayMs: number): Promise<void> {
  await parts.submit({ taskId, start: { case: "delay", value: durationFromMs(delayMs) } });
  const query = { multi_last: [`task.${TENANT}.${taskId}.q.>`] };
  const [message] = await parts.log.reader.read("MYCEL_TASKS", query);
  const delayed = { subject: message!.subject, data: message!.body, seq: message!.sequence };
  await handleDelayedSubmission({ timers: parts.timers, clock: { now: Date.now, monotonicMs: () => 0 } }, delayed);
}

async function stateIn({ parts }: Setup, taskId: string): Promise<string> {
  return stateOf(viewOf(await parts.lifecycle.read(TENANT, taskId)));
}

/** Waits until the broker's clock is past a time: that something was not stored, it tells nobody. */
async function brokerPast({ parts }: Setup, ms: number): Promise<void> {
  const now = async (): Promise<number> => Date.parse((await parts.log.manager.streams.info("MYCEL_TIMERS")).ts ?? "");
  await expect.poll(now, { timeout: 10_000 }).toBeGreaterThan(ms);
}

test("a delayed task and one that backs off go on once a full store has room again, without a restart", async () => {
  await using s = await setup();
  const { parts } = s;
  await parts.submit({
    taskId: "failing",
    retryPolicy: create(RetryPolicySchema, { initialInterval: durationFromMs(WAIT_MS) }),
  });
  const failing = await parts.pull();
  await parts.report(failing, { kind: { case: "fail", value: {} } });
  await submitDelayed(s, "delayed", WAIT_MS);
  const untilMs = Date.now() + WAIT_MS * 1.2;
  await fillStore(parts.log.nats.url);
  await brokerPast(s, untilMs + 1_000);
  await freeStore(parts.log.nats.url);
  parts.watchTimers();
  await s.catchUp();

  // Long after, the broker has not tried again.
  await brokerPast(s, Date.now() + 1_500);
  for (const taskId of ["failing", "delayed"]) {
    expect(await firedMs(parts.log.reader, { tenant: TENANT, taskId }, "dispatch")).toBeUndefined();
  }
  expect([await stateIn(s, "failing"), await stateIn(s, "delayed")]).toEqual(["backing_off", "scheduled"]);

  s.clock.ms = untilMs;
  expect(await s.lostTimers.round()).toEqual({ looked: 0, set: 0 });
  s.clock.ms = untilMs + TIMER_GRACE_MS;
  expect(await s.lostTimers.round()).toEqual({ looked: 2, set: 2 });
  const delivered = [await parts.pull(), await parts.pull()];
  expect(delivered.map(({ taskId }) => taskId).toSorted()).toEqual(["delayed", "failing"]);
});

test("a full store ends the round, and what it could not look after is looked after in the next one", async () => {
  await using s = await setup();
  await submitDelayed(s, "delayed", 120_000);
  await submitDelayed(s, "later", 600_000);
  await s.catchUp();
  s.clock.ms = Date.now() + 200_000;
  await fillStore(s.parts.log.nats.url);
  await expect(s.lostTimers.round()).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
  await freeStore(s.parts.log.nats.url);
  expect(await s.lostTimers.round()).toMatchObject({ set: 1 });
  expect(await s.lostTimers.round()).toEqual({ looked: 0, set: 0 });
});
