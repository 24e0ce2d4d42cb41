// How the input of a task reaches a handler in this process: in the form in which it would arrive at an agent.
import { create } from "@bufbuild/protobuf";
import { type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { valueOfPayload } from "../../agent/payload.ts";
import type { WorkItem } from "../../agent/work-item.ts";
import { encodeInput } from "../../client/payload.ts";

/** An input. */
export interface LocalInput extends Pick<WorkItem, "input" | "blob"> {
  readonly payload: Payload | undefined;
}

/** Encodes and decodes an input once, as the way through the mesh would. Throws a MycelError (INVALID_OPTION) for what cannot travel. */
export function localInput(input: unknown): LocalInput {
  const encoded = encodeInput(input);
  if (encoded.kind === "inline") {
    const { payload } = encoded;
    return { payload, input: valueOfPayload(payload), blob: payload?.kind.case === "blob" ? payload : undefined };
  }
  const { data, contentType } = encoded;
  const payload = create(PayloadSchema, {
    kind: { case: "bytes", value: { contentType, data: new Uint8Array(data) } },
  });
  // Of what is too large to travel inline, an agent's handler gets the value if it is JSON, and otherwise reads it.
  const isJson = contentType === "application/json";
  return { payload, input: isJson ? JSON.parse(new TextDecoder().decode(data)) : undefined, blob: undefined };
}
