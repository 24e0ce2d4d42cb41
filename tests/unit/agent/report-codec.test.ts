import { fromBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { expect, test } from "vitest";
import { type Report, ReportRequestSchema } from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { msFromDuration, msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { fail, outcomeOfError } from "../../../sdk/agent/outcome.ts";
import { encodePayload, valueOfPayload } from "../../../sdk/agent/payload.ts";
import {
  encodeReports,
  type ReportFacts,
  type ReportKind,
  reportOf,
  weightOf,
} from "../../../sdk/agent/report-codec.ts";
import { type Settlement, settlementOf } from "../../../sdk/agent/settlement.ts";

const FACTS = {
  taskId: "t1",
  attempt: 3,
  fence: 2n ** 63n + 5n,
  leaseToken: "dToken",
  delivery: "$JS.ACK.S.C.1.2.3.4.5",
  startMs: 1_700_000_000_123,
  outputSequence: 2 ** 52 + 1,
};
const FAILURE = { message: "m", reason: "R", retryable: true, source: "timeout" as const, details: "d" };

function isFail(settlement: Settlement): settlement is Settlement & { readonly kind: "fail" } {
  return settlement.kind === "fail";
}

function written(facts: ReportFacts, kind: ReportKind): Report {
  const { reports } = fromBinary(ReportRequestSchema, encodeReports([reportOf(facts, kind)]));
  return reports[0]!;
}

test.for<[ReportKind, object]>([
  [
    { kind: "begin", redelivery: true },
    { case: "begin", value: { redelivery: true } },
  ],
  [
    { kind: "begin", redelivery: false },
    { case: "begin", value: { redelivery: false } },
  ],
  [
    { kind: "hand_back", started: true },
    { case: "handBack", value: { started: true } },
  ],
  [
    { kind: "hand_back", started: false },
    { case: "handBack", value: { started: false } },
  ],
  [
    { kind: "complete", result: undefined },
    { case: "complete", value: {} },
  ],
  [
    { kind: "fail", failure: FAILURE },
    {
      case: "fail",
      value: { failure: { message: "m", reason: "R", retryable: true, source: 3, attempt: 3, details: "d" } },
    },
  ],
  [
    { kind: "retry_after", delayMs: 5, failure: FAILURE },
    { case: "retryAfter", value: { failure: { reason: "R" } } },
  ],
  [
    { kind: "snooze", delayMs: 1_500 },
    { case: "snooze", value: { delay: { seconds: 1n, nanos: 500_000_000 } } },
  ],
])("the bytes of %o are those of the schema", ([kind, expected]) => {
  const read = written(FACTS, kind);
  expect(read).toMatchObject({ taskId: "t1", attempt: 3, fence: FACTS.fence, delivery: FACTS.delivery });
  expect(read.leaseToken).toBe("dToken");
  expect(read.outputSequence).toBe(BigInt(FACTS.outputSequence));
  expect(msFromTimestamp(read.startTime)).toBe(FACTS.startMs);
  expect(read.kind).toMatchObject(expected);
  expect(read.$unknown).toBeUndefined();
});

test("a delay keeps its milliseconds", () => {
  const { kind } = written(FACTS, { kind: "retry_after", delayMs: 61_007, failure: FAILURE });
  expect(kind.case === "retryAfter" && msFromDuration(kind.value.delay)).toBe(61_007);
});

test("a result is embedded as it was encoded, and unset fields stay unset", () => {
  const result = encodePayload({ deep: [1, "two", { three: null }], skip: undefined, when: new Date(0) });
  const unset = { ...FACTS, attempt: 0, fence: 0n, startMs: undefined, outputSequence: 0 };
  const read = written(unset, { kind: "complete", result });
  expect(read).toMatchObject({ attempt: 0, fence: 0n, outputSequence: 0n });
  expect(read.startTime).toBeUndefined();
  const payload = read.kind.case === "complete" ? read.kind.value.result : undefined;
  expect(valueOfPayload(payload)).toEqual({ deep: [1, "two", { three: null }], when: "1970-01-01T00:00:00.000Z" });
});

test("texts beyond their bounds are cut, without splitting a character", () => {
  const failure = { ...FAILURE, message: "x".repeat(5_000), details: "ä".repeat(20_000) };
  const { kind } = written(FACTS, { kind: "fail", failure });
  const cut = kind.case === "fail" ? kind.value.failure! : undefined;
  expect(cut!.message).toHaveLength(4_096);
  expect(cut!.details).toBe("ä".repeat(8_192));
});

test("a failure whose texts are no texts is reported all the same", () => {
  const message: string = JSON.parse('{"code":7}');
  const error = Object.assign(new Error(), { message });
  for (const { failure } of [outcomeOfError(error), fail(message, { details: message })]
    .map(settlementOf)
    .filter(isFail)) {
    const { kind } = written(FACTS, { kind: "fail", failure });
    expect(kind.case === "fail" && kind.value.failure?.message).toBe('{"code":7}');
  }
});

test("many reports are one request, in order, and a writer may be used again", () => {
  const writer = new BinaryWriter();
  for (const taskIds of [["a", "b", "c"], ["d".repeat(100)], ["e", "f"]]) {
    const made = taskIds.map((taskId) => reportOf({ ...FACTS, taskId }, { kind: "begin", redelivery: true }));
    const { reports } = fromBinary(ReportRequestSchema, encodeReports(made, writer));
    expect(reports.map((report) => report.taskId)).toEqual(taskIds);
  }
});

test("a report weighs no less than its bytes", () => {
  const facts = {
    ...FACTS,
    taskId: "t".repeat(100),
    leaseToken: "d".repeat(200),
    delivery: `$JS.ACK.${"d".repeat(300)}`,
    attempt: 2 ** 31 - 1,
  };
  const kinds: ReportKind[] = [
    { kind: "begin", redelivery: true },
    { kind: "complete", result: new Uint8Array(70_000) },
    {
      kind: "retry_after",
      delayMs: 2 ** 40,
      failure: { ...FAILURE, message: "ä".repeat(5_000), details: "x".repeat(9_000) },
    },
    { kind: "snooze", delayMs: 2 ** 40 + 1 },
  ];
  for (const kind of kinds) {
    const report = reportOf(facts, kind);
    expect(weightOf(report)).toBeGreaterThanOrEqual(encodeReports([report]).length);
  }
});
