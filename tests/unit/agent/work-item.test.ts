import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Dispatch, DispatchSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { Priority } from "../../../gen/mycel/v1/task_pb.ts";
import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { readDispatch } from "../../../sdk/agent/dispatch-reader.ts";
import { encodePayload, valueOfPayload } from "../../../sdk/agent/payload.ts";
import { readWhole, readWorkItem, type WorkItem } from "../../../sdk/agent/work-item.ts";

function payloadOf(value: unknown): Payload {
  return fromBinary(PayloadSchema, encodePayload(value) ?? new Uint8Array());
}

function aTask(change: object = {}): object {
  return {
    taskId: "task-1",
    type: "echo",
    queue: "echo",
    priority: Priority.NORMAL,
    input: payloadOf({ words: ["a", "ä", "x".repeat(300)], nested: { n: 1.5, no: null, yes: true } }),
    timeouts: { startToClose: durationFromMs(300_000), heartbeat: durationFromMs(1_500) },
    retryPolicy: { maximumAttempts: 5, backoffCoefficient: 2, initialInterval: durationFromMs(1_000) },
    resultTtl: durationFromMs(86_400_000),
    createTime: timestampFromMs(1_795_271_817_007),
    ...change,
  };
}

function bytesOf(task: object, change: object = {}): Uint8Array {
  const dispatch = { task, attempt: 2, fence: 2n ** 40n, requestDigest: new Uint8Array(32).fill(9), ...change };
  return toBinary(DispatchSchema, create(DispatchSchema, dispatch));
}

function facts({ taskId, type, queue, attempt, fence, beginRequired, leaseToken, ...rest }: WorkItem): object {
  const { startToCloseMs, heartbeatMs, input, blob } = rest;
  return { taskId, type, queue, attempt, fence, beginRequired, leaseToken, startToCloseMs, heartbeatMs, input, blob };
}

/** What is read, or that nothing can be. */
function readBy(read: (bytes: Uint8Array) => WorkItem, bytes: Uint8Array): unknown {
  try {
    const item = read(bytes);
    // Bytes are views of the same message, whatever their class.
    const input = item.input instanceof Uint8Array ? [...item.input] : item.input;
    return { ...facts(item), input };
  } catch (error) {
    return String(error);
  }
}

/** Whether the short way reads the bytes. */
function isPlain(bytes: Uint8Array): boolean {
  const read = { taskId: "", type: "", queue: "", attempt: 0, fence: 0n, beginRequired: false, leaseToken: "" };
  try {
    readDispatch(bytes, { ...read, startToCloseMs: undefined, heartbeatMs: undefined, input: undefined });
    return true;
  } catch {
    return false;
  }
}

describe("a dispatch as coordinators write it", () => {
  test.for<[string, object, object]>([
    ["with all that they fill in", {}, {}],
    ["without input", { input: undefined }, {}],
    ["with bytes", { input: create(PayloadSchema, bytesPayload("text/plain", [1, 2, 255])) }, {}],
    ["with no bytes", { input: create(PayloadSchema, bytesPayload("", [])) }, {}],
    ["with labels", { labels: { team: "x", "": "", stage: "y".repeat(200) } }, {}],
    ["with a start time, and redriven", { startTime: timestampFromMs(1), redriveOf: "other" }, {}],
    ["with a webhook", { webhook: { endpointId: "billing" } }, {}],
    ["with a webhook for each of its states", { webhook: { endpointId: "billing", allStates: true } }, {}],
    ["with reasons that are not tried again", { retryPolicy: { nonRetryableReasons: ["A", "B", "A"] } }, {}],
    ["that must be begun, first of its task", {}, { beginRequired: true, attempt: 1, fence: 0n }],
    ["with a token", {}, { leaseToken: "d0123456789abcdefghijk_" }],
    ["with all timeouts", { timeouts: { scheduleToStart: durationFromMs(1), scheduleToClose: durationFromMs(9) } }, {}],
  ])("is read in one pass: %s", ([, task, dispatch]) => {
    const bytes = bytesOf(aTask(task), dispatch);
    expect(isPlain(bytes)).toBe(true);
    expect(readBy(readWorkItem, bytes)).toEqual(readBy(readWhole, bytes));
    expect(readWorkItem(bytes).task).toEqual(readWhole(bytes).task);
  });

  test("tells of its tasks what each of them says", () => {
    for (const name of ["echo", "other", "echo-2", "echo"]) {
      const item = readWorkItem(bytesOf(aTask({ taskId: `t-${name}`, type: name, queue: `${name}_q` })));
      expect(item).toMatchObject({ taskId: `t-${name}`, type: name, queue: `${name}_q` });
    }
  });
});

describe("what is read by the schema", () => {
  const blob = create(PayloadSchema, {
    kind: { case: "blob", value: { blobId: "b", contentType: "application/json" } },
  });

  test.for<[string, Uint8Array]>([
    ["a blob", bytesOf(aTask({ input: blob }))],
    ["labels beyond ASCII", bytesOf(aTask({ labels: { name: "Zoë" } }))],
    ["a field called __proto__", bytesOf(aTask({ input: payloadOf(JSON.parse('{"__proto__":{"a":1}}')) }))],
    ["a field of a newer version", Buffer.concat([bytesOf(aTask()), Buffer.from([0xf8, 0x01, 0x01])])],
    ["a field that stands twice", Buffer.concat([bytesOf(aTask()), Buffer.from([0x10, 0x03])])],
  ])("%s", ([, bytes]) => {
    expect(isPlain(bytes)).toBe(false);
    expect(readBy(readWorkItem, bytes)).toEqual(readBy(readWhole, bytes));
    expect(readBy(readWorkItem, bytes)).toMatchObject({ taskId: "task-1" });
  });

  test.for<[string, object, object]>([
    ["no name", { taskId: "a.b" }, {}],
    ["no type", { type: "" }, {}],
    ["a webhook without an endpoint", { webhook: { allStates: true } }, {}],
    ["a webhook to a wildcard", { webhook: { endpointId: "*" } }, {}],
    ["a negative count", {}, { attempt: -1 }],
    ["a fence beyond all sequences", {}, { fence: 2n ** 60n }],
    ["a duration beyond all years", { resultTtl: { seconds: 2n ** 50n } }, {}],
    ["a time without its nanos", { createTime: { seconds: 1n, nanos: -1 } }, {}],
    ["a shrinking backoff", { retryPolicy: { backoffCoefficient: -1 } }, {}],
    ["no number for a backoff", { retryPolicy: { backoffCoefficient: Number.NaN } }, {}],
  ])("and refused: %s", ([, task, dispatch]) => {
    expect(() => readWorkItem(bytesOf(aTask(task), dispatch))).toThrow("can't be read");
  });

  test("and refused: no dispatch at all, half a dispatch, text that is none", () => {
    const whole = bytesOf(aTask({ input: payloadOf("~~~~") }));
    const broken = Buffer.from(whole);
    broken.fill(0xff, broken.indexOf("~~~~"), broken.indexOf("~~~~") + 2);
    for (const bytes of [new Uint8Array(), whole.subarray(0, 40), broken]) {
      expect(() => readWorkItem(bytes)).toThrow("can't be read");
    }
  });
});

const anInput = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }).map(payloadOf),
  fc.uint8Array({ maxLength: 40 }).map(payloadOf),
  fc.constant(undefined),
);
const aDuration = fc.option(fc.nat(2 ** 40).map(durationFromMs), { nil: undefined });
const aName = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/);
const aDispatch = fc
  .record({
    taskId: aName,
    type: aName,
    queue: aName,
    input: anInput,
    labels: fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
    timeouts: fc.record({ startToClose: aDuration, heartbeat: aDuration, scheduleToStart: aDuration }),
    resultTtl: aDuration,
    webhook: fc.option(fc.record({ endpointId: aName, allStates: fc.boolean() }), { nil: undefined }),
  })
  .chain((task) => fc.record({ task: fc.constant(task), attempt: fc.nat(), fence: fc.maxSafeNat().map(BigInt) }))
  .map(({ task, ...rest }) => bytesOf(aTask(task), rest));

test("whatever is dispatched is read as by the schema", () => {
  fc.assert(
    fc.property(aDispatch, (bytes) => {
      expect(readBy(readWorkItem, bytes)).toEqual(readBy(readWhole, bytes));
      expect(readWorkItem(bytes).task).toEqual(readWhole(bytes).task);
    }),
    { numRuns: 500 },
  );
});

test("whatever becomes of the bytes is read, or refused, as by the schema", () => {
  const aChange = fc.record({
    at: fc.nat(),
    byte: fc.nat(255),
    cut: fc.nat(20),
    kind: fc.constantFrom("set", "cut", "add"),
  });
  fc.assert(
    fc.property(aDispatch, fc.array(aChange, { minLength: 1, maxLength: 3 }), (bytes, changes) => {
      let changed = [...bytes];
      for (const { at, byte, cut, kind } of changes) {
        const place = at % (changed.length || 1);
        if (kind === "set") changed[place] = byte;
        else if (kind === "add") changed.splice(place, 0, byte);
        else changed.splice(place, cut);
      }
      const given = Uint8Array.from(changed);
      expect(readBy(readWorkItem, given)).toEqual(readBy(readWhole, given));
    }),
    { numRuns: 3_000 },
  );
});

test("the input is what the payload holds, at the depth that the mesh takes", () => {
  let deep: unknown = "end";
  for (let level = 0; level < 30; level++) deep = level % 2 === 0 ? [deep] : { deep };
  const bytes = bytesOf(aTask({ input: payloadOf(deep) }));
  expect(isPlain(bytes)).toBe(true);
  expect(readWorkItem(bytes).input).toEqual(deep);
  const value: Dispatch = fromBinary(DispatchSchema, bytes);
  expect(valueOfPayload(value.task?.input)).toEqual(deep);
});

test("JSON null, which lies inside a value, is null, and a value without a kind is left to the schema", () => {
  expect(readWorkItem(bytesOf(aTask({ input: payloadOf(null) }))).input).toBeNull();
  const empty: Value = { $typeName: "google.protobuf.Value", kind: { case: undefined } };
  const bytes = bytesOf(aTask({ input: create(PayloadSchema, { kind: { case: "json", value: empty } }) }));
  expect(isPlain(bytes)).toBe(false);
  expect(readBy(readWorkItem, bytes)).toEqual(readBy(readWhole, bytes));
});

test("a length that reaches beyond its message is left to the schema", () => {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).uint32(1_000).string("t");
  const bytes = writer.finish();
  expect(isPlain(bytes)).toBe(false);
});

function bytesPayload(contentType: string, data: readonly number[]): object {
  return { kind: { case: "bytes", value: { contentType, data: Uint8Array.from(data) } } };
}
