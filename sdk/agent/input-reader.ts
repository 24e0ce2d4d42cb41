// Reads the input of a task straight from the bytes of its Payload into a JavaScript value, without messages in between.
import { MAX_JSON_DEPTH } from "../../lib/core/limits.ts";
import { UNUSUAL, type WireCursor } from "./wire-cursor.ts";

// Tags: field number and wire type, as in their proto files.
const PAYLOAD = { json: 0x0a, bytes: 0x12 };
const BYTES = { contentType: 0x0a, data: 0x12 };
const VALUE = { null: 0x08, number: 0x11, string: 0x1a, bool: 0x20, struct: 0x2a, list: 0x32 };
const ENTRY = { key: 0x0a, value: 0x12 };
const ITEM = 0x0a;

/**
 * The value of an inline Payload: JSON decoded, bytes as a view of the message. Throws UNUSUAL for what is neither, and for what is better
 * read by the schema.
 */
export function readInput(cursor: WireCursor, within: number): unknown {
  const end = cursor.end(within);
  if (cursor.at === end) throw UNUSUAL;
  const tag = cursor.number();
  let value: unknown;
  if (tag === PAYLOAD.json) value = readValue(cursor, end, 0);
  else if (tag === PAYLOAD.bytes) value = readBytes(cursor, end);
  else throw UNUSUAL;
  cursor.close(end);
  return value;
}

function readBytes(cursor: WireCursor, within: number): Uint8Array {
  const end = cursor.end(within);
  let data = cursor.bytes.subarray(0, 0);
  for (let last = 0; cursor.at < end;) {
    last = cursor.tag(last);
    if (last === BYTES.contentType) cursor.passAscii(end);
    else if (last === BYTES.data) {
      const to = cursor.end(end);
      data = cursor.bytes.subarray(cursor.at, to);
      cursor.at = to;
    } else throw UNUSUAL;
  }
  cursor.close(end);
  return data;
}

function readValue(cursor: WireCursor, within: number, depth: number): unknown {
  const end = cursor.end(within);
  if (cursor.at === end || depth > MAX_JSON_DEPTH) throw UNUSUAL;
  const value = readKind(cursor, end, depth);
  cursor.close(end);
  return value;
}

function readKind(cursor: WireCursor, end: number, depth: number): unknown {
  switch (cursor.number()) {
    case VALUE.null:
      if (cursor.number() !== 0) throw UNUSUAL;
      return null;
    case VALUE.number:
      return cursor.double();
    case VALUE.string:
      return cursor.text(end);
    case VALUE.bool:
      return cursor.flag();
    case VALUE.struct:
      return readStruct(cursor, end, depth + 1);
    case VALUE.list:
      return readList(cursor, end, depth + 1);
    default:
      throw UNUSUAL;
  }
}

function readStruct(cursor: WireCursor, within: number, depth: number): Record<string, unknown> {
  const end = cursor.end(within);
  const fields: Record<string, unknown> = {};
  while (cursor.at < end) {
    if (cursor.number() !== ITEM) throw UNUSUAL;
    const entryEnd = cursor.end(end);
    if (cursor.number() !== ENTRY.key) throw UNUSUAL;
    const key = cursor.text(entryEnd);
    // To assign it would not make it a field.
    if (key === "__proto__" || cursor.number() !== ENTRY.value) throw UNUSUAL;
    fields[key] = readValue(cursor, entryEnd, depth);
    cursor.close(entryEnd);
  }
  cursor.close(end);
  return fields;
}

function readList(cursor: WireCursor, within: number, depth: number): unknown[] {
  const end = cursor.end(within);
  const items: unknown[] = [];
  while (cursor.at < end) {
    if (cursor.number() !== ITEM) throw UNUSUAL;
    items.push(readValue(cursor, end, depth));
  }
  cursor.close(end);
  return items;
}
