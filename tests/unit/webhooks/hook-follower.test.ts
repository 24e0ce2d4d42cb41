// Which events of which tasks are made into deliveries, in which order, and when a hook goes; with a log that the test writes.
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { DispatchSchema, TaskEventSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { STRAY_HOOK_MS } from "../../../lib/core/webhook-delivery.ts";
import type { TaskState } from "../../../lib/core/task-state.ts";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import type { StoredHook } from "../../../lib/nats/webhook-hooks.ts";
import { stateToWire } from "../../../lib/wire/state-codec.ts";
import { eventSubject } from "../../../lib/wire/subjects.ts";
import { encodeEvent, type TaskRecord } from "../../../lib/wire/task-codec.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { HookFollower } from "../../../services/coordinator/webhooks/hook-follower.ts";
import { soon } from "../../support/soon.ts";

const TENANT = "default";
const START_MS = 1_000_000;

interface Told {
  readonly sequence: number;
  readonly state: TaskState;
  readonly atMs: number;
}

/** One task, `t`, and whoever follows it. */
function setup(webhook: { readonly allStates: boolean } | "none" = { allStates: true }) {
  const events: Told[] = [];
  const delivered: number[] = [];
  const removed: number[] = [];
  const troubles: unknown[] = [];
  /** What stands in place of events that nobody can read. */
  const garbage = new Set<number>();
  let stored = true;
  let under = 0;
  let most = 0;
  let heard: ((sequence: number) => void) | undefined;
  const gates: (() => void)[] = [];
  const clock = { ms: START_MS, now: () => clock.ms, monotonicMs: () => performance.now() };
  const record = (): TaskRecord | undefined => {
    const last = events.at(-1);
    const task = {
      taskId: "t",
      type: "echo",
      ...(webhook === "none" ? {} : { webhook: { endpointId: "e", ...webhook } }),
    };
    const message = create(DispatchSchema, { task });
    return {
      tenant: TENANT,
      taskId: "t",
      dispatch: { message, sequence: 1, queue: "echo", priority: 5 },
      event: last && {
        sequence: last.sequence,
        message: create(TaskEventSchema, { state: stateToWire(last.state), eventTime: timestampFromMs(last.atMs) }),
      },
      trace: { traceparent: "", tracestate: "" },
    };
  };
  const messageOf = ({ sequence, state, atMs }: Told): StoredMessage => ({
    subject: eventSubject(TENANT, "t"),
    sequence,
    storeMs: atMs,
    traceparent: "",
    tracestate: "",
    body: encodeEvent(
      {
        state,
        attempt: 1,
        nextAttempt: 0,
        agentId: "a",
        attemptStartMs: undefined,
        nextAttemptMs: undefined,
        failure: undefined,
        cancelReason: "",
        ended: undefined,
        dispatchSequence: 1,
        deliveries: 1,
      },
      { eventMs: atMs, operationId: "o", outputSequence: 0, result: undefined },
    ),
  });
  const follower = new HookFollower({
    hooks: { remove: async ({ sequence }) => void removed.push(sequence) },
    taskLog: { read: async () => (stored ? record() : undefined) },
    eventReader: {
      read: async (_tenant, _task, from) =>
        events
          .filter(({ sequence }) => sequence >= from)
          .map((told) =>
            garbage.has(told.sequence) ? { ...messageOf(told), body: Buffer.from("?") } : messageOf(told),
          ),
    },
    reader: { read: async () => events.slice(-1).map(messageOf) },
    listen: (_tenant, _task, onEvent) => {
      heard = onEvent;
      return { [Symbol.dispose]: () => (heard = undefined) };
    },
    clock,
    deliver: async (_record, { sequence }) => {
      under += 1;
      most = Math.max(most, under);
      if (gates.length > 0) await new Promise<void>((open) => gates.splice(0, 1, open));
      under -= 1;
      delivered.push(sequence);
    },
    onTrouble: (error) => troubles.push(error),
  });
  const hook: StoredHook = { tenant: TENANT, taskId: "t", sequence: 7, storeMs: START_MS };
  return {
    follower,
    hook,
    delivered,
    removed,
    troubles,
    clock,
    gates,
    garbage,
    most: () => most,
    listening: () => heard !== undefined,
    store: (is: boolean) => (stored = is),
    /** Writes an event; `tell` says whether it is heard. */
    event: (state: TaskState, tell = true) => {
      const sequence = (events.at(-1)?.sequence ?? 1) + 1;
      events.push({ sequence, state, atMs: clock.ms });
      if (tell) heard?.(sequence);
    },
  };
}

describe("a task with a hook", () => {
  test("has each event delivered as it is heard, and the hook removed at its end", async () => {
    const mesh = setup();
    mesh.follower.follow(mesh.hook, "just_written");
    mesh.event("working");
    await soon(() => mesh.delivered).toEqual([2]);
    expect(mesh.removed).toEqual([]);
    mesh.event("completed");
    await soon(() => mesh.removed).toEqual([7]);
    expect(mesh.delivered).toEqual([2, 3]);
    await soon(() => mesh.follower.size).toBe(0);
    expect(mesh.listening()).toBe(false);
  });

  test("has what passed unheard delivered by the rounds, soon if the hook is new", async () => {
    const mesh = setup();
    mesh.follower.follow(mesh.hook, "just_written");
    mesh.event("working", false);
    await mesh.follower.round("new");
    await mesh.follower.round("new");
    await soon(() => mesh.delivered).toEqual([2]);
    mesh.event("backing_off", false);
    await mesh.follower.round("new");
    mesh.event("failed", false);
    await mesh.follower.round("all");
    await soon(() => mesh.removed).toEqual([7]);
    expect(mesh.delivered).toEqual([2, 3, 4]);
  });

  test("has its end alone delivered unless it asked for more", async () => {
    const mesh = setup({ allStates: false });
    mesh.follower.follow(mesh.hook, "just_written");
    mesh.event("working");
    mesh.event("backing_off");
    mesh.event("timed_out");
    await soon(() => mesh.removed).toEqual([7]);
    expect(mesh.delivered).toEqual([4]);
  });

  test("is looked at once at a time, however much is heard of it", async () => {
    const mesh = setup();
    mesh.gates.push(() => undefined);
    mesh.follower.follow(mesh.hook, "just_written");
    mesh.event("working");
    await soon(() => mesh.most()).toBe(1);
    for (const state of ["backing_off", "working", "completed"] as const) mesh.event(state);
    for (let i = 0; i < 4; i += 1) {
      await soon(() => mesh.delivered.length).toBe(i);
      mesh.gates.at(0)?.();
    }
    await soon(() => mesh.removed).toEqual([7]);
    expect(mesh.delivered).toEqual([2, 3, 4, 5]);
    expect(mesh.most()).toBe(1);
  });
});

test("a task of which one event can't be read has the others delivered, and its hook removed", async () => {
  const mesh = setup();
  mesh.event("working");
  mesh.event("backing_off");
  mesh.event("completed");
  mesh.garbage.add(3);
  mesh.follower.follow(mesh.hook, "standing");
  await soon(() => mesh.delivered).toEqual([2, 4]);
  await soon(() => mesh.removed).toEqual([7]);
  expect(mesh.troubles).toEqual([]);
});

describe("a hook without its task", () => {
  test.for([
    ["is not there", false],
    ["asks for nothing", true],
  ] as const)("%s, goes after a minute and not before", async ([, stored]) => {
    for (const [waitedMs, removed] of [
      [STRAY_HOOK_MS, []],
      [STRAY_HOOK_MS + 1, [7]],
    ] as const) {
      const mesh = setup("none");
      mesh.store(stored);
      mesh.event("completed");
      mesh.clock.ms += waitedMs;
      mesh.follower.follow(mesh.hook, "standing");
      // Waits for the look that is under way.
      await mesh.follower[Symbol.asyncDispose]();
      expect(mesh.removed).toEqual(removed);
      expect(mesh.delivered).toEqual([]);
    }
  });

  test("that was written after the task's end stays for a minute: the next task of the name may be on its way", async () => {
    const mesh = setup();
    mesh.event("completed");
    mesh.clock.ms = START_MS + 5_000;
    mesh.follower.follow({ ...mesh.hook, storeMs: START_MS + 5_000 }, "standing");
    await soon(() => mesh.delivered).toEqual([2]);
    await mesh.follower.round("all");
    expect(mesh.removed).toEqual([]);
    mesh.clock.ms += STRAY_HOOK_MS + 1;
    await mesh.follower.round("all");
    await soon(() => mesh.removed).toEqual([7]);
    expect(mesh.delivered).toEqual([2]);
  });
});
