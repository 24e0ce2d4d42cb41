// Owns the bytes of a Report. Written by hand so that a result is encoded once and a report is sent again as it is; a test holds it
// against the generated schema.
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { FailSchema, RetryAfterSchema, SnoozeSchema } from "../../gen/mycel/v1/agent_protocol_pb.ts";
import { FailureSource, type TaskFailure, TaskFailureSchema } from "../../gen/mycel/v1/task_pb.ts";
import { MAX_FAILURE_DETAILS_BYTES, MAX_FAILURE_MESSAGE_LENGTH } from "../../lib/core/limits.ts";
import { cutToBytes } from "../../lib/wire/cut-text.ts";
import { durationFromMs } from "../../lib/wire/time-codec.ts";
import type { FailureFacts } from "./outcome.ts";
import type { EncodedPayload } from "./payload.ts";

/** What a report says. */
export type ReportKind =
  | { readonly kind: "begin"; readonly redelivery: boolean }
  | { readonly kind: "complete"; readonly result: EncodedPayload | undefined }
  | { readonly kind: "fail"; readonly failure: FailureFacts }
  | { readonly kind: "retry_after"; readonly delayMs: number; readonly failure: FailureFacts }
  | { readonly kind: "snooze"; readonly delayMs: number }
  | { readonly kind: "hand_back"; readonly started: boolean };

/** Whose report it is. */
export interface ReportFacts {
  readonly taskId: string;
  readonly attempt: number;
  readonly fence: bigint;
  /** The reply subject of the delivery. */
  readonly delivery: string;
  /** When the attempt started, by the agent's clock; undefined if it has not. */
  readonly startMs: number | undefined;
  /** The sequence of the attempt's last output, 0 for none. */
  readonly outputSequence: number;
}

const KIND_FIELD = { begin: 7, complete: 8, fail: 9, retry_after: 10, snooze: 11, hand_back: 12 };

/** Encodes one report. */
export function encodeReport(facts: ReportFacts, kind: ReportKind): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(facts.taskId);
  if (facts.attempt !== 0) writer.tag(2, WireType.Varint).int32(facts.attempt);
  if (facts.fence !== 0n) writer.tag(3, WireType.Varint).uint64(facts.fence);
  writer.tag(4, WireType.LengthDelimited).string(facts.delivery);
  if (facts.startMs !== undefined) {
    const seconds = Math.floor(facts.startMs / 1000);
    writer.tag(5, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.Varint).int64(seconds);
    writer.tag(2, WireType.Varint).int32(Math.trunc(facts.startMs - seconds * 1000) * 1_000_000);
    writer.join();
  }
  if (facts.outputSequence !== 0) writer.tag(6, WireType.Varint).uint64(facts.outputSequence);
  writer.tag(KIND_FIELD[kind.kind], WireType.LengthDelimited);
  writeKind(writer, facts.attempt, kind);
  return writer.finish();
}

/** Puts encoded reports into one ReportRequest. */
export function joinReports(reports: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const report of reports) writer.tag(1, WireType.LengthDelimited).bytes(report);
  return writer.finish();
}

function writeKind(writer: BinaryWriter, attempt: number, kind: ReportKind): void {
  switch (kind.kind) {
    case "begin":
      writeFlag(writer, kind.redelivery);
      return;
    case "hand_back":
      writeFlag(writer, kind.started);
      return;
    case "complete":
      writer.fork();
      if (kind.result !== undefined) writer.tag(1, WireType.LengthDelimited).bytes(kind.result);
      writer.join();
      return;
    case "fail":
      writer.bytes(toBinary(FailSchema, create(FailSchema, { failure: failureToWire(kind.failure, attempt) })));
      return;
    case "retry_after": {
      const fields = { delay: durationFromMs(kind.delayMs), failure: failureToWire(kind.failure, attempt) };
      writer.bytes(toBinary(RetryAfterSchema, create(RetryAfterSchema, fields)));
      return;
    }
    case "snooze":
      writer.bytes(toBinary(SnoozeSchema, create(SnoozeSchema, { delay: durationFromMs(kind.delayMs) })));
      return;
  }
}

// Begin and HandBack are both a message of one flag.
function writeFlag(writer: BinaryWriter, flag: boolean): void {
  writer.fork();
  if (flag) writer.tag(1, WireType.Varint).bool(true);
  writer.join();
}

function failureToWire(failure: FailureFacts, attempt: number): TaskFailure {
  return create(TaskFailureSchema, {
    message: failure.message.slice(0, MAX_FAILURE_MESSAGE_LENGTH),
    reason: failure.reason,
    retryable: failure.retryable,
    source: failure.source === "timeout" ? FailureSource.TIMEOUT : FailureSource.AGENT,
    attempt,
    details: cutToBytes(failure.details, MAX_FAILURE_DETAILS_BYTES),
  });
}
