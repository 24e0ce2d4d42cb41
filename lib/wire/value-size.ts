// What a JSON value is in Protobuf: how long, without encoding it, which costs several times as much; and whether it has a JSON form.

import type { Message } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { MAX_JSON_DEPTH } from "../core/limits.ts";

/** The size of an encoded Value in bytes. */
export function valueSize(value: Value): number {
  return contentSize(value) + unknownSize(value);
}

/** Why a value has no JSON form, or one that others can't read; undefined if it is well. */
export function valueFault(value: Value, levels: number = MAX_JSON_DEPTH): string | undefined {
  const { kind } = value;
  switch (kind.case) {
    case undefined:
      return "must have a value: null has a form of its own";
    case "numberValue":
      return Number.isFinite(kind.value) ? undefined : `must be numbers that JSON can carry, is ${kind.value}`;
    case "listValue":
    case "structValue": {
      if (levels === 0) return `must not nest deeper than ${MAX_JSON_DEPTH} levels`;
      const items = kind.case === "listValue" ? kind.value.values : Object.values(kind.value.fields);
      for (const item of items) {
        const fault = valueFault(item, levels - 1);
        if (fault !== undefined) return fault;
      }
      return undefined;
    }
    default:
      return undefined;
  }
}

/** The size in bytes of a field that holds `size` bytes: its tag (of a field number up to 15), its length and them. */
export function encodedLength(size: number): number {
  let lengthBytes = 1;
  for (let rest = size; rest >= 128; rest = Math.floor(rest / 128)) lengthBytes += 1;
  return 1 + lengthBytes + size;
}

function contentSize({ kind }: Value): number {
  switch (kind.case) {
    case "nullValue":
    case "boolValue":
      return 2;
    case "numberValue":
      return 9;
    case "stringValue":
      return encodedLength(Buffer.byteLength(kind.value));
    case "listValue": {
      let size = unknownSize(kind.value);
      for (const item of kind.value.values) size += encodedLength(valueSize(item));
      return encodedLength(size);
    }
    case "structValue": {
      let size = unknownSize(kind.value);
      for (const [key, field] of Object.entries(kind.value.fields)) {
        size += encodedLength(encodedLength(Buffer.byteLength(key)) + encodedLength(valueSize(field)));
      }
      return encodedLength(size);
    }
    default:
      return 0;
  }
}

/** What this version of the contract does not know is kept, and counts. A tag has at most 5 bytes. */
function unknownSize({ $unknown }: Message): number {
  let size = 0;
  for (const { data } of $unknown ?? []) size += 5 + data.length;
  return size;
}
