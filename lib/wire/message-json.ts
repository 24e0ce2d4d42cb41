// Reads a JSON value as a Protobuf message and says everything that is wrong with it, by the path of each field. The mapping is
// Protobuf's own, done by its library; this file finds what the library would refuse one fault at a time. Pure.
import {
  create,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonValue,
  type MessageShape,
} from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import type { Violation } from "../core/mesh-error.ts";

/** What a JSON value said. */
export interface MessageReading<Desc extends DescMessage> {
  /** The message, of the fields that could be read. */
  readonly message: MessageShape<Desc>;
  /** What is wrong, in the order of the value; empty if nothing is. */
  readonly violations: readonly Violation[];
}

/**
 * Reads `value` by Protobuf's JSON mapping, which every conforming writer speaks. Stricter than the mapping where a value written by
 * hand is nearly always a mistake: unknown fields and null are refused (null is a value of `google.protobuf.Value` only), and a
 * number of at most 32 bits, or a floating point one, must be a number.
 */
export function readMessageJson<Desc extends DescMessage>(schema: Desc, value: unknown): MessageReading<Desc> {
  const violations: Violation[] = [];
  const kept = readMessage(schema, value, "", violations);
  if (kept === undefined) return { message: create(schema), violations };
  try {
    return { message: fromJson(schema, kept), violations };
  } catch (error) {
    // What the checks above do not foresee, in the library's words.
    const description = error instanceof Error ? error.message : String(error);
    return { message: create(schema), violations: [...violations, { field: "", description }] };
  }
}

// Each reader gives what the library shall read, or undefined where it added a violation.

function readMessage(desc: DescMessage, value: unknown, at: string, violations: Violation[]): JsonValue | undefined {
  const special = SPECIAL[desc.typeName];
  if (special !== undefined) return keepIf(special.fits(value), value, at, special.rule, violations);
  if (desc.typeName.startsWith("google.protobuf.")) return readKnownType(desc, value, at, violations);
  if (!isRecord(value)) return refuse(at, `must be an object with ${namesOf(desc.fields)}`, violations);
  const fields = fieldsByName(desc);
  const kept: Record<string, JsonValue> = {};
  for (const key of Object.keys(value)) {
    if (fields.has(key)) continue;
    const known = desc.fields.length === 0 ? "there are none here" : `the fields are ${namesOf(desc.fields)}`;
    refuse(pathOf(at, key), `unknown field; ${known}`, violations);
  }
  const chosen = new Map<string, string>();
  for (const field of desc.fields) {
    const given = [field.jsonName, ...(field.name === field.jsonName ? [] : [field.name])].filter(
      (name) => name in value,
    );
    const [name] = given;
    if (name === undefined) continue;
    const path = pathOf(at, name);
    if (given.length > 1) {
      refuse(path, `is given twice: also as ${field.name}`, violations);
      continue;
    }
    const before = field.oneof === undefined ? undefined : chosen.get(field.oneof.name);
    if (field.oneof !== undefined && before !== undefined) {
      refuse(path, `cannot stand beside ${before}: give only one of ${namesOf(field.oneof.fields)}`, violations);
      continue;
    }
    if (field.oneof !== undefined) chosen.set(field.oneof.name, name);
    const read = readField(field, value[name], path, violations);
    if (read !== undefined) kept[name] = read;
  }
  return kept;
}

function readField(field: DescField, value: unknown, at: string, violations: Violation[]): JsonValue | undefined {
  if (value === null && !isValueType(field)) return refuse(at, "must not be null; leave the field out", violations);
  switch (field.fieldKind) {
    case "list": {
      if (!Array.isArray(value)) return refuse(at, "must be a list", violations);
      const items: readonly unknown[] = value;
      return items.flatMap((item, i) => readSingle(field, item, `${at}[${i}]`, violations) ?? []);
    }
    case "map": {
      if (!isRecord(value)) return refuse(at, "must be an object", violations);
      const kept: Record<string, JsonValue> = {};
      for (const [key, item] of Object.entries(value)) {
        const read = readSingle(field, item, pathOf(at, key), violations);
        if (read !== undefined) kept[key] = read;
      }
      return kept;
    }
    default:
      return readSingle(field, value, at, violations);
  }
}

/** One value: of a singular field, an item of a list, or a value of a map. */
function readSingle(field: DescField, value: unknown, at: string, violations: Violation[]): JsonValue | undefined {
  if (field.message !== undefined) return readMessage(field.message, value, at, violations);
  if (field.enum !== undefined) {
    const names = field.enum.values.map(({ name }) => name);
    const fits = names.some((name) => name === value) || field.enum.values.some(({ number }) => number === value);
    return keepIf(fits, value, at, `must be one of ${names.join(", ")}`, violations);
  }
  const { rule, fits } = SCALARS[field.scalar];
  return keepIf(fits(value), value, at, rule, violations);
}

/** Times, durations, masks, wrappers: their JSON form is one value, which the library knows. */
function readKnownType(desc: DescMessage, value: unknown, at: string, violations: Violation[]): JsonValue | undefined {
  const rule = KNOWN_FORMS[desc.typeName] ?? `must be a ${desc.typeName}`;
  if (!isJson(value)) return refuse(at, rule, violations);
  try {
    fromJson(desc, value);
    return value;
  } catch {
    return refuse(at, rule, violations);
  }
}

interface Form {
  readonly rule: string;
  readonly fits: (value: unknown) => boolean;
}

const KNOWN_FORMS: Readonly<Record<string, string>> = {
  "google.protobuf.Duration": 'must be a duration in seconds such as "1.5s"',
  "google.protobuf.Timestamp": 'must be a time such as "2026-01-31T12:00:00Z"',
  "google.protobuf.FieldMask": 'must be a list of fields such as "a,b.c"',
  "google.protobuf.Any": "has no JSON form here",
};

const SPECIAL: Readonly<Record<string, Form>> = {
  "google.protobuf.Value": { rule: "must be a JSON value", fits: isJson },
  "google.protobuf.Struct": { rule: "must be an object", fits: isRecord },
  "google.protobuf.ListValue": { rule: "must be a list", fits: Array.isArray },
};

const INT32 = whole(-(2 ** 31), 2 ** 31 - 1);
const UINT32 = whole(0, 2 ** 32 - 1);
const INT64 = large(-(2n ** 63n), 2n ** 63n - 1n);
const UINT64 = large(0n, 2n ** 64n - 1n);
const FLOAT: Form = {
  rule: "must be a number",
  fits: (value) => typeof value === "number" || value === "NaN" || value === "Infinity" || value === "-Infinity",
};

const SCALARS: Readonly<Record<ScalarType, Form>> = {
  [ScalarType.STRING]: { rule: "must be a string", fits: (value) => typeof value === "string" },
  [ScalarType.BOOL]: { rule: "must be true or false", fits: (value) => typeof value === "boolean" },
  [ScalarType.BYTES]: {
    rule: "must be bytes in base64",
    fits: (value) => typeof value === "string" && /^[A-Za-z0-9+/_-]*={0,2}$/.test(value),
  },
  [ScalarType.DOUBLE]: FLOAT,
  [ScalarType.FLOAT]: FLOAT,
  [ScalarType.INT32]: INT32,
  [ScalarType.SINT32]: INT32,
  [ScalarType.SFIXED32]: INT32,
  [ScalarType.UINT32]: UINT32,
  [ScalarType.FIXED32]: UINT32,
  [ScalarType.INT64]: INT64,
  [ScalarType.SINT64]: INT64,
  [ScalarType.SFIXED64]: INT64,
  [ScalarType.UINT64]: UINT64,
  [ScalarType.FIXED64]: UINT64,
};

function whole(min: number, max: number): Form {
  return {
    rule: min === 0 ? "must be a whole number, not below 0" : "must be a whole number",
    fits: (value) => typeof value === "number" && Number.isInteger(value) && value >= min && value <= max,
  };
}

/** 64 bits: text is what conforming writers write, because JSON's numbers are exact to 53 bits only. */
function large(min: bigint, max: bigint): Form {
  return {
    rule: min === 0n ? "must be a whole number, not below 0" : "must be a whole number",
    fits(value) {
      const isNumber = typeof value === "number" && Number.isSafeInteger(value);
      if (!isNumber && !(typeof value === "string" && /^-?\d{1,20}$/.test(value))) return false;
      const number = BigInt(value);
      return number >= min && number <= max;
    },
  };
}

function keepIf(
  fits: boolean,
  value: unknown,
  at: string,
  rule: string,
  violations: Violation[],
): JsonValue | undefined {
  return fits && isJson(value) ? value : refuse(at, rule, violations);
}

function refuse(field: string, description: string, violations: Violation[]): undefined {
  violations.push({ field, description });
}

function isValueType(field: DescField): boolean {
  return field.fieldKind === "message" && field.message.typeName === "google.protobuf.Value";
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What is given here came out of JSON, but for a field that is not there. */
function isJson(value: unknown): value is JsonValue {
  return value !== undefined;
}

function pathOf(at: string, name: string): string {
  const plain = /^[\w$-]+$/.test(name);
  if (!plain) return `${at}[${JSON.stringify(name)}]`;
  return at === "" ? name : `${at}.${name}`;
}

function namesOf(fields: readonly DescField[]): string {
  return fields.map(({ jsonName }) => jsonName).join(", ");
}

const names = new WeakMap<DescMessage, ReadonlySet<string>>();

function fieldsByName(desc: DescMessage): ReadonlySet<string> {
  let known = names.get(desc);
  if (known === undefined) {
    known = new Set(desc.fields.flatMap(({ name, jsonName }) => [name, jsonName]));
    names.set(desc, known);
  }
  return known;
}
