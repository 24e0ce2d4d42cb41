// A batch of outputs as it stands in the output log, and the marker that fences an attempt.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type OutputBatch, OutputBatchSchema } from "../../gen/mycel/v1/output_pb.ts";

/** Reads a batch. A body that is none counts as an empty batch: it is an agent's mistake and must not stop a reader. */
export function decodeOutputBatch(bytes: Uint8Array): OutputBatch {
  try {
    return fromBinary(OutputBatchSchema, bytes);
  } catch {
    return create(OutputBatchSchema);
  }
}

/** Writes a batch. */
export function encodeOutputBatch(batch: MessageInitShape<typeof OutputBatchSchema>): Uint8Array<ArrayBuffer> {
  return toBinary(OutputBatchSchema, create(OutputBatchSchema, batch));
}
