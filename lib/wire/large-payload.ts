// Messages around one large JSON payload, which they are encoded without. toBinary makes such a message in memory that it doubles as it
// needs, three bytes for each character of a text, moves the text once for each message around it, and copies all of it in the end: of
// 16 KiB, 50 µs and 100 KB outside of the heap, for which V8 then collects all garbage far too often.
import { create, type DescMessage, type Message, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { NullValue, type Value } from "@bufbuild/protobuf/wkt";
import { type Payload, PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { BackWriter } from "./back-writer.ts";
import { encodedLength, valueSize } from "./value-size.ts";

/** From this size on it pays. */
const LARGE_BYTES = 2_048;
/** A text has at most so many bytes for each character. */
const CHARACTER_BYTES = 3;

const PAYLOAD_JSON = 0x0a;
/** Takes the payload's place: a tag, and a length of 0. */
const PLACEHOLDER: Payload = create(PayloadSchema);
const PLACEHOLDER_BYTES = 2;

/** A message in two parts, and the value of the payload that belongs between them. */
export interface Apart {
  /** All before the payload's field. */
  readonly head: Uint8Array;
  /** Of the payload's field. */
  readonly tag: number;
  readonly value: Value;
  /** All behind it. */
  readonly tail: Uint8Array;
  /** Of the whole message, in bytes. */
  readonly size: number;
}

/**
 * Takes a message apart that holds a large JSON payload in the field `name`, whose number is at most 15. Undefined if its payload is of
 * another kind, is small, or holds what this version of the contract does not know.
 */
export function takeApart<Name extends string, Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc> & Readonly<Partial<Record<Name, Payload | undefined>>>,
  name: Name,
): Apart | undefined {
  const payload: Payload | undefined = message[name];
  if (payload?.kind.case !== "json" || payload.$unknown !== undefined) return undefined;
  const { value } = payload.kind;
  const valueBytes = sizeIfLarge(value);
  if (valueBytes === undefined || !isPlain(value)) return undefined;
  const encoded = toBinary(schema, { ...message, [name]: PLACEHOLDER });
  const number = schema.field[name]?.number ?? 0;
  const at = startOf(number, encoded);
  if (at === undefined) return undefined;
  const size = encoded.length - PLACEHOLDER_BYTES + encodedLength(encodedLength(valueBytes));
  const tail = encoded.subarray(at + PLACEHOLDER_BYTES);
  return { head: encoded.subarray(0, at), tag: encoded[at] ?? 0, value, tail, size };
}

/** Encodes a message as toBinary does, whatever its payload. */
export function encodeAround<Name extends string, Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc> & Readonly<Partial<Record<Name, Payload | undefined>>>,
  name: Name,
): Uint8Array<ArrayBuffer> {
  const apart = takeApart(schema, message, name);
  if (apart === undefined) return toBinary(schema, message);
  const writer = new BackWriter(apart.size);
  writeWhole(writer, apart);
  return writer.finish();
}

/** Writes a message that was taken apart. */
export function writeWhole(writer: BackWriter, { head, tag, value, tail }: Apart): void {
  writer.copy(tail);
  const end = writer.at;
  writer.value(value);
  writer.wrap(PAYLOAD_JSON, end);
  writer.wrap(tag, end);
  writer.copy(head);
}

/** The size of a value, unless it is small. */
function sizeIfLarge(value: Value): number | undefined {
  const { kind } = value;
  switch (kind.case) {
    case "stringValue":
      if (kind.value.length * CHARACTER_BYTES < LARGE_BYTES) return undefined;
      break;
    case "structValue":
    case "listValue":
      break;
    default:
      return undefined;
  }
  const size = valueSize(value);
  return size < LARGE_BYTES ? undefined : size;
}

/** Whether there is nothing in a value but what JSON has. */
function isPlain(value: Value): boolean {
  const { kind } = value;
  if (isUnknown(value)) return false;
  switch (kind.case) {
    case "nullValue":
      return kind.value === NullValue.NULL_VALUE;
    case "listValue":
      return !isUnknown(kind.value) && kind.value.values.every(isPlain);
    case "structValue":
      return !isUnknown(kind.value) && Object.values(kind.value.fields).every(isPlain);
    default:
      return true;
  }
}

function isUnknown({ $unknown }: Message): boolean {
  return $unknown !== undefined && $unknown.length > 0;
}

/** Where a field of an encoded message starts. */
function startOf(field: number, encoded: Uint8Array): number | undefined {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = encoded[at++] ?? 0;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < encoded.length) {
    const start = at;
    const tag = varint();
    if (tag >>> 3 === field) return start;
    const type = tag & 7;
    if (type === 0) varint();
    else if (type === 1) at += 8;
    else if (type === 2) {
      const length = varint();
      at += length;
    } else if (type === 5) at += 4;
    else return undefined;
  }
  return undefined;
}
