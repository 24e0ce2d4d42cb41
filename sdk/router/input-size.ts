// How large an input is, before it is known how it will travel. Pure.
import { isMessage, toBinary } from "@bufbuild/protobuf";
import { PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";

/** The size of an input in bytes: of its JSON text, of its bytes, of the blob that it refers to. 0 for what has no form to travel in. */
export function inputBytesOf(input: unknown): number {
  if (input instanceof Uint8Array) return input.length;
  if (isMessage(input, PayloadSchema)) {
    return input.kind.case === "blob" ? Number(input.kind.value.sizeBytes) : toBinary(PayloadSchema, input).length;
  }
  try {
    const text: string | undefined = JSON.stringify(input);
    return text === undefined ? 0 : Buffer.byteLength(text);
  } catch {
    // Told by whoever encodes it.
    return 0;
  }
}
