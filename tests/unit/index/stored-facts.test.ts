import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DispatchSchema, TaskEventSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { encodeDispatch } from "../../../lib/wire/task-codec.ts";
import { plainDispatch, plainEvent } from "../../../services/coordinator/index/plain-facts.ts";
import { anyDispatch, anyEvent, readDispatch, readEvent } from "../../../services/coordinator/index/stored-facts.ts";

/** Nearly always something sound, so that whole messages are. */
function mostly<T>(sound: fc.Arbitrary<T>, odd: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 25, arbitrary: sound }, { weight: 1, arbitrary: odd });
}

const NAME = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
const ODD_TEXT = fc.oneof(fc.constantFrom("", "grüße", "__proto__", "1", "a b"), fc.string({ maxLength: 40 }));
const TEXT = mostly(NAME, ODD_TEXT);
const COUNT = mostly(fc.oneof(fc.nat(200), fc.constantFrom(0, 127, 128)), fc.constantFrom(2 ** 31 - 1, -1));
const SEQUENCE = mostly(
  fc.bigInt(0n, 300n),
  fc.constantFrom(2n ** 49n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
);
const SECONDS = mostly(
  fc.bigInt(0n, 2_000_000_000n),
  fc.constantFrom(-1n, 253_402_300_799n, 253_402_300_800n, 315_576_000_000n, 315_576_000_001n, -62_135_596_800n),
);
const NANOS = mostly(fc.constantFrom(0, 1, 999_999, 123_456_789, 999_999_999), fc.constantFrom(1_000_000_000, -1));
const TIME = fc.record({ seconds: SECONDS, nanos: NANOS });
const BYTES = fc.uint8Array({ maxLength: 300 });
const PAYLOAD = BYTES.map((data) => ({ kind: { case: "bytes" as const, value: { data, contentType: "a/b" } } }));

const some = { requiredKeys: [] };
const TASK = fc.record(
  {
    taskId: TEXT,
    type: TEXT,
    queue: TEXT,
    priority: COUNT,
    input: PAYLOAD,
    labels: fc.dictionary(TEXT, TEXT, { maxKeys: 4 }),
    timeouts: fc.record({ scheduleToStart: TIME, startToClose: TIME, scheduleToClose: TIME, heartbeat: TIME }, some),
    retryPolicy: fc.record(
      {
        maximumAttempts: COUNT,
        initialInterval: TIME,
        backoffCoefficient: mostly(fc.constantFrom(2, 0), fc.double()),
        maximumInterval: TIME,
        nonRetryableReasons: fc.array(TEXT, { maxLength: 3 }),
      },
      some,
    ),
    resultTtl: TIME,
    createTime: TIME,
    startTime: TIME,
    redriveOf: TEXT,
    webhook: fc.record({ endpointId: TEXT, allStates: fc.boolean() }),
  },
  { requiredKeys: ["taskId", "type"] },
);
const DISPATCH = fc
  .record(
    { task: TASK, attempt: COUNT, fence: SEQUENCE, beginRequired: fc.boolean(), requestDigest: BYTES },
    { requiredKeys: ["task"] },
  )
  .map((dispatch) => encodeDispatch(dispatch as MessageInitShape<typeof DispatchSchema>));
const EVENT = fc
  .record(
    {
      state: COUNT,
      attempt: COUNT,
      nextAttempt: COUNT,
      agentId: TEXT,
      eventTime: TIME,
      attemptStartTime: TIME,
      nextAttemptTime: TIME,
      result: PAYLOAD,
      cancelReason: TEXT,
      outputSequence: SEQUENCE,
      endedAttempt: COUNT,
      endedAgentId: TEXT,
      operationId: TEXT,
      dispatchSequence: SEQUENCE,
      deliveries: COUNT,
    },
    some,
  )
  .map((event) =>
    toBinary(TaskEventSchema, create(TaskEventSchema, event as MessageInitShape<typeof TaskEventSchema>)),
  );

/** Bytes that are no message, or another one: cut, doubled, with some of them changed. */
function spoiled(messages: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 });
  return fc.tuple(messages, messages, changes, fc.nat(40), fc.boolean()).map(([bytes, more, changed, cut, doubled]) => {
    const all = doubled ? Buffer.concat([bytes, more]) : Buffer.from(bytes);
    for (const [at, value] of changed) if (all.length > 0) all[at % all.length] = value;
    return new Uint8Array(all.subarray(0, Math.max(0, all.length - (cut > 20 ? cut - 20 : 0))));
  });
}

type Read = (body: Uint8Array) => { readonly kept: Uint8Array };

function outcome(read: Read, body: Uint8Array): unknown {
  try {
    const facts = read(body);
    return { ...facts, kept: Buffer.from(facts.kept).toString("hex") };
  } catch (error) {
    return error instanceof Error ? "unreadable" : error;
  }
}

describe("what is read of a stored message", () => {
  test.for<[string, fc.Arbitrary<Uint8Array>, Read, Read]>([
    ["a dispatch", DISPATCH, readDispatch, anyDispatch],
    ["an event", EVENT, readEvent, anyEvent],
    ["a spoiled dispatch", spoiled(DISPATCH), readDispatch, anyDispatch],
    ["a spoiled event", spoiled(EVENT), readEvent, anyEvent],
  ])("is what the full decoder reads of it: %s", ([, messages, read, byDecoder]) => {
    fc.assert(
      fc.property(messages, (body) => {
        expect(outcome(read, body)).toEqual(outcome(byDecoder, body));
      }),
      { seed: 20_261_121, numRuns: 2_000 },
    );
  });

  test("is read the short way where the mesh itself has written it", () => {
    const time = { seconds: 1_795_271_059n, nanos: 489_000_000 };
    const dispatch = encodeDispatch({
      task: {
        taskId: "t-1",
        type: "echo",
        queue: "other",
        priority: 5,
        input: { kind: { case: "bytes", value: { data: new Uint8Array(300), contentType: "a/b" } } },
        labels: { a: "b", c: "" },
        timeouts: { startToClose: { seconds: 30n }, scheduleToClose: { seconds: 1n, nanos: 500_000_000 } },
        retryPolicy: { maximumAttempts: 3, backoffCoefficient: 2, nonRetryableReasons: ["A", "B"] },
        resultTtl: { seconds: 86_400n },
        createTime: time,
        redriveOf: "t-0",
        webhook: { endpointId: "billing", allStates: true },
      },
      attempt: 2,
      fence: 7_000n,
      beginRequired: true,
      requestDigest: new Uint8Array(32).fill(255),
    });
    expect(plainDispatch(dispatch)).toMatchObject({
      type: "echo",
      queue: "other",
      labels: { a: "b", c: "" },
      redriveOf: "t-0",
      createMs: 1_795_271_059_489,
      resultTtlMs: 86_400_000,
      timeouts: { scheduleToStartMs: undefined, startToCloseMs: 30_000, scheduleToCloseMs: 1_500 },
    });
    const event = create(TaskEventSchema, {
      state: 3,
      attempt: 1,
      agentId: "a-1",
      eventTime: time,
      attemptStartTime: time,
      result: { kind: { case: "bytes", value: { data: new Uint8Array(10), contentType: "a/b" } } },
      endedAttempt: 1,
      endedAgentId: "a-1",
      operationId: "a-1/11/10.1/1/complete",
      dispatchSequence: 11n,
      deliveries: 1,
    });
    const ended = plainEvent(toBinary(TaskEventSchema, event));
    expect(ended).toMatchObject({ state: 3, attempt: 1, agentId: "a-1", eventMs: 1_795_271_059_489 });
  });

  test("is what the full decoder reads of it, though a tag takes more bytes than it needs", () => {
    const task = Buffer.from([0x0a, 1, 0x74, 0x12, 1, 0x65, 0x2a, 0]);
    const body = Buffer.concat([Buffer.from([0x8a, 0x00, task.length]), task]);
    expect(outcome(readDispatch, body)).toEqual(outcome(anyDispatch, body));
  });

  test("is what the full decoder reads of it, however long a text is", () => {
    const long = "x".repeat(500_000);
    const dispatch = encodeDispatch({ task: { taskId: "t", type: "echo", labels: { long } } });
    expect(readDispatch(dispatch).labels).toEqual({ long });
    const event = create(TaskEventSchema, { state: 3, agentId: long });
    expect(readEvent(toBinary(TaskEventSchema, event)).agentId).toBe(long);
  });

  test("is nothing where a dispatch has no task", () => {
    expect(() => readDispatch(toBinary(DispatchSchema, create(DispatchSchema, { attempt: 1 })))).toThrow();
  });
});
