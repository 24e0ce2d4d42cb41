// Owns the way between JavaScript values and the wire's Payload: encoded once, straight to bytes, with JSON.stringify's meaning.
import { toBinary } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Payload, PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { MAX_JSON_DEPTH } from "../../lib/core/limits.ts";
import { valueFault } from "../../lib/wire/value-size.ts";
import { AgentError } from "./agent-error.ts";

/** A Payload as it stands on the wire. */
export type EncodedPayload = Uint8Array;

/** What may be too large to travel inline, in the form in which it would be uploaded. */
export interface BlobContent {
  readonly data: Uint8Array;
  readonly contentType: string;
}

// Field numbers of Payload, Bytes, Value, Struct and ListValue, as in their proto files.
const PAYLOAD = { json: 1, bytes: 2 };
const BYTES = { contentType: 1, data: 2 };
const VALUE = { nullValue: 1, numberValue: 2, stringValue: 3, boolValue: 4, structValue: 5, listValue: 6 };

/**
 * Encodes what a handler returned or streamed: a Payload message as it is, bytes as bytes, everything else as JSON.
 * Undefined gives undefined. Throws what JSON.stringify would throw, and for values nested deeper than the mesh takes.
 */
export function encodePayload(value: unknown): EncodedPayload | undefined {
  if (value === undefined) return undefined;
  if (isPayload(value)) return encodeGiven(value);
  const writer = new BinaryWriter();
  if (value instanceof Uint8Array) {
    writer.tag(PAYLOAD.bytes, WireType.LengthDelimited).fork();
    writer.tag(BYTES.data, WireType.LengthDelimited).bytes(value).join();
  } else {
    writer.tag(PAYLOAD.json, WireType.LengthDelimited).fork();
    writeValue(writer, value, 0);
    writer.join();
  }
  return writer.finish();
}

/** What to upload when the value is too large to travel inline; undefined if there is no such form. */
export function blobContentOf(value: unknown): BlobContent | undefined {
  if (value instanceof Uint8Array) return { data: value, contentType: "application/octet-stream" };
  if (!isPayload(value)) return { data: Buffer.from(JSON.stringify(value)), contentType: "application/json" };
  if (value.kind.case === "bytes") return { data: value.kind.value.data, contentType: value.kind.value.contentType };
  return undefined;
}

/**
 * Whether content of this media type is read as JSON: `application/json`, with or without parameters. Formats on top of it (`…+json`,
 * `application/json-seq`) are not: a handler reads them as what they say they are.
 */
export function isJsonType(contentType: string): boolean {
  return /^application\/json\s*(?:;|$)/i.test(contentType);
}

/** The JavaScript value of an inline payload: JSON decoded, bytes as bytes; undefined for a blob, an Any, or no data. */
export function valueOfPayload(payload: Payload | undefined): unknown {
  switch (payload?.kind.case) {
    case "json":
      return valueOf(payload.kind.value);
    case "bytes":
      return payload.kind.value.data;
    default:
      return undefined;
  }
}

/** A Payload that a handler made itself is held to the same bounds: the mesh would refuse it. */
function encodeGiven(payload: Payload): EncodedPayload {
  const fault = payload.kind.case === "json" ? valueFault(payload.kind.value) : undefined;
  if (fault !== undefined) throw new AgentError("INVALID_OPTION", `a JSON payload ${fault}`);
  return toBinary(PayloadSchema, payload);
}

function isPayload(value: unknown): value is Payload {
  return typeof value === "object" && value !== null && "$typeName" in value && value.$typeName === "mycel.v1.Payload";
}

function valueOf(value: Value): unknown {
  const { kind } = value;
  switch (kind.case) {
    case "numberValue":
    case "stringValue":
    case "boolValue":
      return kind.value;
    case "listValue":
      return kind.value.values.map(valueOf);
    case "structValue": {
      const entries = Object.entries(kind.value.fields);
      // fromEntries defines properties, so a field called __proto__ stays a field.
      return Object.fromEntries(entries.map(([key, field]) => [key, valueOf(field)]));
    }
    default:
      return null;
  }
}

function writeValue(writer: BinaryWriter, value: unknown, depth: number): void {
  if (depth > MAX_JSON_DEPTH) throw tooDeep();
  switch (typeof value) {
    case "string":
      writer.tag(VALUE.stringValue, WireType.LengthDelimited).string(value);
      return;
    case "number":
      // JSON knows no negative zero.
      if (Number.isFinite(value)) writer.tag(VALUE.numberValue, WireType.Bit64).double(value === 0 ? 0 : value);
      else writer.tag(VALUE.nullValue, WireType.Varint).int32(0);
      return;
    case "boolean":
      writer.tag(VALUE.boolValue, WireType.Varint).bool(value);
      return;
    case "bigint":
      throw new AgentError("INVALID_OPTION", "a BigInt has no JSON form: return it as a string");
    case "object":
      if (value !== null) {
        writeObject(writer, value, depth);
        return;
      }
      break;
    default:
  }
  writer.tag(VALUE.nullValue, WireType.Varint).int32(0);
}

function tooDeep(): AgentError {
  const message = `a value is nested deeper than ${MAX_JSON_DEPTH} levels, or refers to itself`;
  return new AgentError("INVALID_OPTION", message);
}

function writeObject(writer: BinaryWriter, value: object, depth: number): void {
  if ("toJSON" in value && typeof value.toJSON === "function") {
    writeValue(writer, value.toJSON(), depth + 1);
    return;
  }
  if (depth === MAX_JSON_DEPTH) throw tooDeep();
  if (Array.isArray(value)) {
    writer.tag(VALUE.listValue, WireType.LengthDelimited).fork();
    for (const item of value) {
      writer.tag(1, WireType.LengthDelimited).fork();
      writeValue(writer, item, depth + 1);
      writer.join();
    }
    writer.join();
    return;
  }
  writer.tag(VALUE.structValue, WireType.LengthDelimited).fork();
  for (const [key, field] of Object.entries(value)) {
    if (field === undefined || typeof field === "function" || typeof field === "symbol") continue;
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key);
    writer.tag(2, WireType.LengthDelimited).fork();
    writeValue(writer, field, depth + 1);
    writer.join().join();
  }
  writer.join();
}
