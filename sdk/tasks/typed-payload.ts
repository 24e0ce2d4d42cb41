// Owns how callers hand in a Protobuf message as a task's input, and read one out of what the task gave. Pure.
import {
  create,
  type DescMessage,
  fromBinary,
  fromJson,
  isMessage,
  type MessageInitShape,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { type Any, AnySchema, anyUnpack, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Payload, PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { messagePayload } from "../../lib/wire/message-payload.ts";

/**
 * The input of a task as a message: `client.run("echo", packMessage(EchoInputSchema, { message: "hi" }))`. It travels as an Any; as bytes,
 * which the client uploads, if it is too large for that.
 */
export function packMessage<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Payload {
  return messagePayload(schema, create(schema, init));
}

/**
 * The message in what a task gave as its result or streamed, as the client hands it over: an Any, its bytes, or a JSON value. Throws an
 * Error that says what it is when it is no `schema`.
 */
export function unpackMessage<Desc extends DescMessage>(schema: Desc, value: unknown): MessageShape<Desc> {
  if (isMessage(value, AnySchema)) return unpackAny(schema, value);
  if (isMessage(value, PayloadSchema)) return unpackMessage(schema, contentOf(value));
  if (value instanceof Uint8Array) return fromBinary(schema, value);
  // Written by a newer agent, it may know more fields.
  return fromJson(schema, JSON.parse(JSON.stringify(value ?? null)), { ignoreUnknownFields: true });
}

function contentOf({ kind }: Payload): unknown {
  switch (kind.case) {
    case "json":
      return toJson(ValueSchema, kind.value);
    case "bytes":
      return kind.value.data;
    case "message":
      return kind.value;
    default:
      throw new Error(`a payload of kind ${kind.case ?? "none"} holds no message: download it first`);
  }
}

function unpackAny<Desc extends DescMessage>(schema: Desc, any: Any): MessageShape<Desc> {
  const message = anyUnpack(any, schema);
  if (message !== undefined) return message;
  throw new Error(`a ${any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1)} is no ${schema.typeName}`);
}
