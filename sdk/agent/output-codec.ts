// Owns the bytes of an Output. Written by hand so that a chunk, which is encoded already, is copied and not taken apart again; a test
// holds it against the generated schema.
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { LogLevel, LogSchema, ProgressSchema } from "../../gen/mycel/v1/output_pb.ts";
import type { EncodedPayload } from "./payload.ts";

/** What an output is. */
export type OutputKind =
  | { readonly kind: "chunk"; readonly payload: EncodedPayload }
  | { readonly kind: "progress"; readonly fraction: number; readonly message: string }
  | { readonly kind: "log"; readonly level: LogLevelName; readonly message: string };

/** How serious a log line is. */
export type LogLevelName = "debug" | "info" | "warn" | "error";

const MAX_TEXT_LENGTH = 4096;
const MAX_PROGRESS_LENGTH = 1024;
const KIND_FIELD = { chunk: 3, progress: 4, log: 5 };
const LEVELS: Readonly<Record<LogLevelName, LogLevel>> = {
  debug: LogLevel.DEBUG,
  info: LogLevel.INFO,
  warn: LogLevel.WARN,
  error: LogLevel.ERROR,
};

/**
 * Encodes an OutputBatch of one output, or of an empty one that only keeps the count. Longer batches are such bytes one behind the other:
 * repeated fields of concatenated messages add up. `timeMs` is in whole milliseconds since 1970.
 */
export function encodeOutput(index: number, timeMs: number, output: OutputKind | undefined): Uint8Array {
  const writer = new BinaryWriter();
  const seconds = Math.floor(timeMs / 1000);
  writer.tag(1, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.Varint).uint64(index);
  writer.tag(2, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.Varint).int64(seconds);
  writer.tag(2, WireType.Varint).int32(Math.trunc(timeMs - seconds * 1000) * 1_000_000);
  writer.join();
  if (output !== undefined) writer.tag(KIND_FIELD[output.kind], WireType.LengthDelimited).bytes(bytesOf(output));
  return writer.join().finish();
}

function bytesOf(output: OutputKind): Uint8Array {
  switch (output.kind) {
    case "chunk":
      return output.payload;
    case "progress": {
      const message = output.message.slice(0, MAX_PROGRESS_LENGTH);
      return toBinary(ProgressSchema, create(ProgressSchema, { fraction: output.fraction, message }));
    }
    case "log": {
      const message = output.message.slice(0, MAX_TEXT_LENGTH);
      return toBinary(LogSchema, create(LogSchema, { level: LEVELS[output.level], message }));
    }
  }
}
