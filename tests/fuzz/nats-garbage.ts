// Everything wrong that can stand in a NATS message: bodies, headers, reply subjects, and the tokens that wildcards take.
import { create, toBinary } from "@bufbuild/protobuf";
import { AgentSchema } from "../../gen/mycel/v1/agent_pb.ts";
import {
  AgentSignalSchema,
  HeartbeatResponseSchema,
  ReportRequestSchema,
} from "../../gen/mycel/v1/agent_protocol_pb.ts";
import { SubmitTaskRequestSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import { OutputBatchSchema } from "../../gen/mycel/v1/output_pb.ts";
import { DispatchSchema, TaskEventSchema, type TimerKind, TimerSchema } from "../../gen/mycel/v1/task_log_pb.ts";
import { type Priority, TaskState } from "../../gen/mycel/v1/task_pb.ts";
import { randomBytes } from "./fuzz-run.ts";
import type { RawMessage } from "./raw-nats.ts";

/** The most that a broker takes in one message by default, less what a header may take. */
const HUGE = 1_000_000;
/** An int64 and an uint64 at their ends. */
const FAR = 2n ** 63n - 1n;

/** Bodies by their names. */
export function bodies(random: () => number): Readonly<Record<string, Uint8Array<ArrayBuffer>>> {
  return {
    "an empty body": new Uint8Array(),
    "a zero": new Uint8Array(1),
    "random bytes": randomBytes(random, 1 + Math.trunc(random() * 400)),
    "an endless varint": new Uint8Array(64).fill(0xff),
    "a length beyond the end": Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x07),
    "groups in groups": new Uint8Array(100_000).fill(0x0b),
    "invalid UTF-8": Uint8Array.of(0x0a, 0x02, 0xc3, 0x28, 0x12, 0x02, 0xff, 0xfe),
    "a huge body": randomBytes(random, HUGE),
    JSON: new TextEncoder().encode('{"reports":[{}]}'),
    "an agent": toBinary(
      AgentSchema,
      create(AgentSchema, { agentId: "ghost", name: "ghost", concurrency: 2 ** 31 - 1 }),
    ),
    "a signal": toBinary(
      AgentSignalSchema,
      create(AgentSignalSchema, { kind: { case: "cancel", value: { taskId: "*", attempt: -1 } } }),
    ),
    "a heartbeat's answer": toBinary(HeartbeatResponseSchema, create(HeartbeatResponseSchema, { registered: true })),
    "a submission": toBinary(SubmitTaskRequestSchema, create(SubmitTaskRequestSchema, { taskId: "forged", type: "t" })),
    "empty reports": toBinary(ReportRequestSchema, create(ReportRequestSchema, { reports: [{}, {}] })),
    "10,000 reports": toBinary(
      ReportRequestSchema,
      create(ReportRequestSchema, { reports: Array.from({ length: 10_000 }, () => ({})) }),
    ),
    "a report at all ends": toBinary(
      ReportRequestSchema,
      create(ReportRequestSchema, {
        reports: [
          {
            taskId: "forged",
            attempt: -(2 ** 31),
            fence: 2n ** 64n - 1n,
            delivery: `$JS.ACK.MYCEL_TASKS.default=t=5.1.9007199254740991.1.1.1`,
            startTime: { seconds: -FAR, nanos: -1 },
            outputSequence: 2n ** 64n - 1n,
            kind: { case: "retryAfter", value: { delay: { seconds: FAR, nanos: 2 ** 31 - 1 } } },
          },
        ],
      }),
    ),
    "a dispatch without a task": toBinary(DispatchSchema, create(DispatchSchema, { attempt: 1 })),
    "a dispatch at all ends": toBinary(
      DispatchSchema,
      create(DispatchSchema, {
        attempt: 2 ** 31 - 1,
        fence: 2n ** 64n - 1n,
        task: {
          taskId: "*.>",
          type: "\u0000",
          priority: -7 as Priority,
          labels: { "\u0000": "\u001b[31m" },
          createTime: { seconds: FAR, nanos: -1 },
          startTime: { seconds: -FAR, nanos: 2 ** 31 - 1 },
          resultTtl: { seconds: FAR, nanos: 0 },
          retryPolicy: { maximumAttempts: -1, backoffCoefficient: Number.NaN, initialInterval: { seconds: -FAR } },
          timeouts: { startToClose: { seconds: FAR }, scheduleToClose: { seconds: -FAR } },
        },
      }),
    ),
    "an event at all ends": toBinary(
      TaskEventSchema,
      create(TaskEventSchema, {
        state: TaskState.BACKING_OFF,
        attempt: -1,
        nextAttempt: 2 ** 31 - 1,
        agentId: "*",
        eventTime: { seconds: FAR, nanos: -1 },
        nextAttemptTime: { seconds: FAR },
        outputSequence: 2n ** 64n - 1n,
        dispatchSequence: 2n ** 64n - 1n,
        endedAttempt: -1,
        deliveries: -1,
      }),
    ),
    "an event of an unknown state": toBinary(
      TaskEventSchema,
      create(TaskEventSchema, { state: 77 as TaskState, attempt: 1 }),
    ),
    "outputs at all ends": toBinary(
      OutputBatchSchema,
      create(OutputBatchSchema, {
        fence: true,
        outputs: [{ index: 2n ** 64n - 1n, time: { seconds: FAR } }, { index: 0n }, { index: 0n }],
      }),
    ),
    "a timer at all ends": toBinary(
      TimerSchema,
      create(TimerSchema, { taskId: "*", kind: 9 as TimerKind, misses: -(2 ** 31), dueTime: { seconds: FAR } }),
    ),
  };
}

/** Where an answer would do harm: the broker's API, the logs, the buckets, other agents and coordinators. */
export const REPLIES: readonly string[] = [
  "$JS.API.STREAM.DELETE.MYCEL_TASKS",
  "$JS.API.STREAM.PURGE.MYCEL_TASKS",
  "$JS.API.CONSUMER.DELETE.MYCEL_TIMERS.timers",
  "$JS.ACK.MYCEL_TASKS.default=work=5.1.1.1.1.1",
  "$KV.MYCEL_AGENTS.default.ghost",
  "task.default.forged.e",
  "task.default.forged.q.work.5",
  "out.default.forged.ghost.1",
  "timer.fired.default.forged.dispatch",
  "mycel.agent.default.ghost.heartbeat",
  "mycel.signal.default.ghost",
  "_INBOX.somebody-else",
];

/** Header blocks, most of them wrong. The broker takes the length at its word and looks no further. */
export function headerBlocks(random: () => number): readonly Uint8Array[] {
  const text = (block: string): Uint8Array => Buffer.from(block, "latin1");
  const made = (fields: string): Uint8Array => text(`NATS/1.0\r\n${fields}\r\n\r\n`);
  return [
    text("NATS/1.0\r\n\r\n"),
    text("NATS/1.0 503 No Responders\r\n\r\n"),
    text("NATS/1.0 abc\r\n\r\n"),
    text("NATS/9.9\r\nA: B\r\n\r\n"),
    text("GET / HTTP/1.1\r\n\r\n"),
    text("NATS/1.0\r\nno colon here\r\n\r\n"),
    text("NATS/1.0\r\nA: B"),
    randomBytes(random, 50),
    made("Nats-Sequence: abc\r\nNats-Last-Sequence: -1\r\nNats-Subject: task.default.forged.e"),
    made("no name: x"),
    made("Nats-Sequence: 1e400\r\nNats-Last-Sequence: 9007199254740993"),
    made("Nats-Sequence: -5\r\nNats-Expected-Last-Subject-Sequence: NaN"),
    made("traceparent: 00-zz-zz-zz\r\ntracestate: \u00ff\u0000"),
    made("Mycel-Tenant: *\r\nMycel-Error: %E0%A4%A"),
    made(`X: ${"y".repeat(60_000)}`),
    // What the broker says to those who wait for messages.
    text("NATS/1.0 100 FlowControl Request\r\n\r\n"),
    text(`NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 99\r\nNats-Consumer-Stalled: ${REPLIES[0]}\r\n\r\n`),
    text("NATS/1.0 400 Bad Request\r\n\r\n"),
    text("NATS/1.0 409 Consumer Deleted\r\n\r\n"),
    text("NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 99\r\n\r\n"),
  ];
}

/** Subjects that a subscription takes: its wildcards filled with what may and what may not name something. */
export function subjectsFor(filter: string): readonly string[] {
  const fillings = [
    ["default", "ghost", "work", "1", "x", "y"],
    ["default", "live-agent", "work", "1", "x", "y"],
    ["other", "forged", "work", "99999999999999999999", "x", "y"],
    ["*", "*", "*", "*", "*", "*"],
    [">", ">", ">", ">", ">", ">"],
    ["\u{1f300}", "a=b", "$JS", "%2e", "-", "_"],
    ["x".repeat(300), "y".repeat(300), "z".repeat(300), "0", "0", "0"],
  ];
  if (!/[*>]/.test(filter)) return [filter];
  return fillings.map((filling) => {
    const words = [...filling];
    const tokens = filter
      .split(".")
      .map((token) => (token === "*" ? words.shift() : token === ">" ? words.slice(0, 3).join(".") : token));
    return tokens.join(".");
  });
}

/** Messages for a subscription: every body, and for some of them headers and reply subjects. */
export function garbageFor(filter: string, random: () => number, replies: readonly string[] = REPLIES): RawMessage[] {
  const pick = <T>(items: readonly T[]): T => items[Math.trunc(random() * items.length)]!;
  const headers = headerBlocks(random);
  const messages: RawMessage[] = [];
  // Made once a subscription: for each subject anew, they would take longer than all else that a story does.
  const made = Object.entries(bodies(random));
  for (const [at, subject] of subjectsFor(filter).entries()) {
    for (const [name, body] of made) {
      // One huge body a subscription is enough of the broker's time.
      if (name === "a huge body" && at > 0) continue;
      messages.push({ subject, body }, { subject, body, reply: pick(replies) });
      messages.push({ subject, body: body.subarray(0, 60_000), reply: pick(replies), header: pick(headers) });
    }
  }
  return messages;
}
