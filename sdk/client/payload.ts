// Owns the way between JavaScript values and Payload: JSON values, bytes, and what is too large to travel inline.
// Uploads and downloads are blobs.ts.
import { create, fromJson, isMessage, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Payload, PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { MAX_INLINE_PAYLOAD_BYTES } from "../../lib/core/limits.ts";
import { encodedLength, valueSize } from "../../lib/wire/value-size.ts";
import { invalidOption } from "./mycel-error.ts";

/** A payload that fits, or the content to upload instead. */
export type EncodedInput =
  | {
      readonly kind: "inline";
      readonly payload: Payload | undefined;
      /** How many bytes it has on the wire at most; Infinity for a message that is not looked into. */
      readonly mostBytes: number;
    }
  | { readonly kind: "blob"; readonly data: Uint8Array; readonly contentType: string };

/** What a character, and the heads of the fields, take at most. */
const UTF8_BYTES = 3;
const FRAME_BYTES = 20;
const OCTETS = "application/octet-stream";
const JSON_TYPE = "application/json";

/**
 * Encodes an input: a Payload message as it is, bytes as bytes, everything else as JSON with the meaning of JSON.stringify; undefined is
 * no data. Throws a MycelError (INVALID_OPTION) for what has no JSON form.
 */
export function encodeInput(input: unknown): EncodedInput {
  if (input === undefined) return { kind: "inline", payload: undefined, mostBytes: 0 };
  if (isMessage(input, PayloadSchema)) return encodeMessage(input);
  if (input instanceof Uint8Array) {
    if (input.length > MAX_INLINE_PAYLOAD_BYTES) return { kind: "blob", data: input, contentType: OCTETS };
    return encodeMessage(
      create(PayloadSchema, { kind: { case: "bytes", value: { contentType: OCTETS, data: input } } }),
    );
  }
  // A text is the same after JSON, which for 16 KiB takes longer than all the rest.
  if (typeof input === "string") return inlined(textValue(input)) ?? blobOf(jsonOf(input));
  const text = jsonOf(input);
  // Only a rough bound: each value costs a few bytes in either form. It saves building a message that will not travel.
  if (text.length > MAX_INLINE_PAYLOAD_BYTES * 4) return blobOf(text);
  return inlined(valueOf(text)) ?? blobOf(text);
}

/**
 * The JavaScript value of a payload: JSON as a value, bytes as bytes; an Any and a BlobRef as the message that they are; undefined for no
 * data.
 */
export function decodePayload(payload: Payload | undefined): unknown {
  if (payload?.kind.case === undefined) return undefined;
  switch (payload.kind.case) {
    case "json":
      return toJson(ValueSchema, payload.kind.value);
    case "bytes":
      return payload.kind.value.data;
    default:
      return payload.kind.value;
  }
}

/** The JavaScript value of a downloaded blob: JSON parsed, everything else as bytes. */
export function decodeBlob(data: Uint8Array, contentType: string): unknown {
  return isJson(contentType) ? JSON.parse(new TextDecoder().decode(data)) : data;
}

function inlined(value: Value): EncodedInput | undefined {
  const mostBytes = encodedLength(valueSize(value));
  if (mostBytes > MAX_INLINE_PAYLOAD_BYTES) return undefined;
  return { kind: "inline", payload: create(PayloadSchema, { kind: { case: "json", value } }), mostBytes };
}

function textValue(value: string): Value {
  return create(ValueSchema, { kind: { case: "stringValue", value } });
}

function blobOf(text: string): EncodedInput {
  return { kind: "blob", data: Buffer.from(text), contentType: JSON_TYPE };
}

function encodeMessage(payload: Payload): EncodedInput {
  const { kind } = payload;
  if (kind.case !== "bytes") return { kind: "inline", payload, mostBytes: Infinity };
  const { data, contentType } = kind.value;
  const mostBytes = data.length + contentType.length * UTF8_BYTES + FRAME_BYTES;
  if (!isTooLarge(payload, mostBytes)) return { kind: "inline", payload, mostBytes };
  return { kind: "blob", data, contentType: contentType === "" ? OCTETS : contentType };
}

function isTooLarge(payload: Payload, mostBytes: number): boolean {
  return mostBytes > MAX_INLINE_PAYLOAD_BYTES && toBinary(PayloadSchema, payload).length > MAX_INLINE_PAYLOAD_BYTES;
}

function isJson(contentType: string): boolean {
  return /^application\/(?:[^;]*\+)?json(?:;|$)/i.test(contentType);
}

function jsonOf(input: unknown): string {
  try {
    const text: string | undefined = JSON.stringify(input);
    if (text !== undefined) return text;
  } catch (error) {
    throw invalidOption("input", `has no JSON form: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  throw invalidOption("input", `has no JSON form: it is a ${typeof input}`);
}

function valueOf(text: string): Value {
  try {
    // Not fromJsonString: it looks through the text for keys that come twice, which takes longer than all the rest and finds none here.
    const json: JsonValue = JSON.parse(text);
    return fromJson(ValueSchema, json);
  } catch (error) {
    throw invalidOption(
      "input",
      `cannot be sent as JSON: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
}
