import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ReportRequestSchema, ReportSchema } from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { msFromDuration, msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { encodePayload, valueOfPayload } from "../../../sdk/agent/payload.ts";
import { encodeReport, joinReports, type ReportKind } from "../../../sdk/agent/report-codec.ts";

const FACTS = {
  taskId: "t1",
  attempt: 3,
  fence: 2n ** 63n + 5n,
  delivery: "$JS.ACK.S.C.1.2.3.4.5",
  startMs: 1_700_000_000_123,
  outputSequence: 2 ** 52 + 1,
};
const FAILURE = { message: "m", reason: "R", retryable: true, source: "timeout" as const, details: "d" };

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
  const read = fromBinary(ReportSchema, encodeReport(FACTS, kind));
  expect(read).toMatchObject({ taskId: "t1", attempt: 3, fence: FACTS.fence, delivery: FACTS.delivery });
  expect(read.outputSequence).toBe(BigInt(FACTS.outputSequence));
  expect(msFromTimestamp(read.startTime)).toBe(FACTS.startMs);
  expect(read.kind).toMatchObject(expected);
  expect(read.$unknown).toBeUndefined();
});

test("a delay keeps its milliseconds", () => {
  const { kind } = fromBinary(
    ReportSchema,
    encodeReport(FACTS, { kind: "retry_after", delayMs: 61_007, failure: FAILURE }),
  );
  expect(kind.case === "retryAfter" && msFromDuration(kind.value.delay)).toBe(61_007);
});

test("a result is embedded as it was encoded, and unset fields stay unset", () => {
  const result = encodePayload({ deep: [1, "two", { three: null }], skip: undefined, when: new Date(0) });
  const bytes = encodeReport(
    { ...FACTS, attempt: 0, fence: 0n, startMs: undefined, outputSequence: 0 },
    { kind: "complete", result },
  );
  const read = fromBinary(ReportSchema, bytes);
  expect(read).toMatchObject({ attempt: 0, fence: 0n, outputSequence: 0n });
  expect(read.startTime).toBeUndefined();
  const payload = read.kind.case === "complete" ? read.kind.value.result : undefined;
  expect(valueOfPayload(payload)).toEqual({ deep: [1, "two", { three: null }], when: "1970-01-01T00:00:00.000Z" });
});

test("texts beyond their bounds are cut, without splitting a character", () => {
  const failure = { ...FAILURE, message: "x".repeat(5_000), details: "ä".repeat(20_000) };
  const { kind } = fromBinary(ReportSchema, encodeReport(FACTS, { kind: "fail", failure }));
  const cut = kind.case === "fail" ? kind.value.failure! : undefined;
  expect(cut!.message).toHaveLength(4_096);
  expect(cut!.details).toBe("ä".repeat(8_192));
});

test("joined reports are one request, in order", () => {
  const parts = ["a", "b", "c"].map((taskId) =>
    encodeReport({ ...FACTS, taskId }, { kind: "begin", redelivery: true }),
  );
  const { reports } = fromBinary(ReportRequestSchema, joinReports(parts));
  expect(reports.map((report) => report.taskId)).toEqual(["a", "b", "c"]);
});
