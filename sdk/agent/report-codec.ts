// Owns the bytes of reports. Written by hand so that a result is encoded once, and many reports go straight into one request; a test holds
// it against the generated schema.
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
  /** What came with them. */
  readonly leaseToken: string;
  /** The reply subject of the delivery. */
  readonly delivery: string;
  /** When the attempt started, by the agent's clock; undefined if it has not. */
  readonly startMs: number | undefined;
  /** The sequence of the attempt's last output, 0 for none. */
  readonly outputSequence: number;
}

const KIND_FIELD = { begin: 7, complete: 8, fail: 9, retry_after: 10, snooze: 11, hand_back: 12 };

/** A report, ready to be written. */
export interface Report extends ReportFacts {
  readonly kind: ReportKind;
  /** The message of its kind, where that is more than a flag or a result. */
  readonly content: Uint8Array | undefined;
}

// The fields of a report that have no text, with all tags and lengths, take less.
const MAX_FIXED_BYTES = 96;

/** Makes a report. */
export function reportOf(facts: ReportFacts, kind: ReportKind): Report {
  const { taskId, attempt, fence, leaseToken, delivery, startMs, outputSequence } = facts;
  const content = contentOf(kind, attempt);
  return { taskId, attempt, fence, leaseToken, delivery, startMs, outputSequence, kind, content };
}

/** How many bytes a report adds to a request, at most. */
export function weightOf({ taskId, delivery, leaseToken, kind, content }: Report): number {
  const result = kind.kind === "complete" ? (kind.result?.length ?? 0) : 0;
  return MAX_FIXED_BYTES + taskId.length + delivery.length + leaseToken.length + (content?.length ?? result);
}

/** Encodes a ReportRequest. `writer` may have been used before: what it has grown to is used again. */
export function encodeReports(reports: readonly Report[], writer: BinaryWriter = new BinaryWriter()): Uint8Array {
  for (const report of reports) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writeReport(writer, report);
    writer.join();
  }
  return writer.finish();
}

function writeReport(writer: BinaryWriter, report: Report): void {
  writer.tag(1, WireType.LengthDelimited).string(report.taskId);
  if (report.attempt !== 0) writer.tag(2, WireType.Varint).int32(report.attempt);
  if (report.fence !== 0n) writer.tag(3, WireType.Varint).uint64(report.fence);
  writer.tag(4, WireType.LengthDelimited).string(report.delivery);
  if (report.startMs !== undefined) {
    const seconds = Math.floor(report.startMs / 1000);
    writer.tag(5, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.Varint).int64(seconds);
    writer.tag(2, WireType.Varint).int32(Math.trunc(report.startMs - seconds * 1000) * 1_000_000);
    writer.join();
  }
  if (report.outputSequence !== 0) writer.tag(6, WireType.Varint).uint64(report.outputSequence);
  const { kind, content } = report;
  writer.tag(KIND_FIELD[kind.kind], WireType.LengthDelimited);
  if (content !== undefined) writer.bytes(content);
  else if (kind.kind === "begin") writeFlag(writer, kind.redelivery);
  else if (kind.kind === "hand_back") writeFlag(writer, kind.started);
  else {
    writer.fork();
    if (kind.kind === "complete" && kind.result !== undefined)
      writer.tag(1, WireType.LengthDelimited).bytes(kind.result);
    writer.join();
  }
  if (report.leaseToken !== "") writer.tag(13, WireType.LengthDelimited).string(report.leaseToken);
}

function contentOf(kind: ReportKind, attempt: number): Uint8Array | undefined {
  switch (kind.kind) {
    case "fail":
      return toBinary(FailSchema, create(FailSchema, { failure: failureToWire(kind.failure, attempt) }));
    case "retry_after": {
      const fields = { delay: durationFromMs(kind.delayMs), failure: failureToWire(kind.failure, attempt) };
      return toBinary(RetryAfterSchema, create(RetryAfterSchema, fields));
    }
    case "snooze":
      return toBinary(SnoozeSchema, create(SnoozeSchema, { delay: durationFromMs(kind.delayMs) }));
    case "begin":
    case "complete":
    case "hand_back":
      return undefined;
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
