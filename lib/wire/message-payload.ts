// How a Protobuf message of a task travels as a payload: as an Any, or as bytes whose media type names it. Pure.
import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { type Payload, PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { MAX_INLINE_PAYLOAD_BYTES } from "../core/limits.ts";

/** Room for the type URL and the envelope of an Any, which may be as large as a payload inline. */
const ENVELOPE_BYTES = 512;

/** The message as an Any; as bytes, which may become a blob, if it is too large to travel inline. */
export function messagePayload<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Payload {
  const value = anyPack(schema, message);
  if (value.value.length > MAX_INLINE_PAYLOAD_BYTES - ENVELOPE_BYTES) return bytesOf(schema, value.value);
  return create(PayloadSchema, { kind: { case: "message", value } });
}

/** The message as bytes of a media type that names it. */
export function messageBytes<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Payload {
  return bytesOf(schema, toBinary(schema, message));
}

/** The media type is that by which the mesh names an Any to callers who speak JSON. */
function bytesOf(schema: DescMessage, data: Uint8Array): Payload {
  const contentType = `application/x-protobuf; messageType="${schema.typeName}"`;
  return create(PayloadSchema, { kind: { case: "bytes", value: { contentType, data } } });
}
