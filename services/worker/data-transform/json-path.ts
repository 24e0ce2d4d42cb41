// Reads and replaces the value at a path within a JSON value: field names joined by dots, numbers for the places of a list. Pure.
import type { JsonValue } from "@bufbuild/protobuf";
import { isObject } from "./json-kinds.ts";

/** The value at `path` within `value`; the value itself for the empty path, undefined where there is none. */
export function valueAt(value: JsonValue, path: string): JsonValue | undefined {
  if (path === "") return value;
  let at: JsonValue | undefined = value;
  for (const name of path.split(".")) {
    at = childOf(at, name);
    if (at === undefined) return undefined;
  }
  return at;
}

/** `value` with what stands at `path` replaced; as it is where nothing stands there. */
export function replacedAt(value: JsonValue, path: string, replace: (old: JsonValue) => JsonValue): JsonValue {
  return path === "" ? replace(value) : replacedWithin(value, path.split("."), replace);
}

function replacedWithin(value: JsonValue, names: readonly string[], replace: (old: JsonValue) => JsonValue): JsonValue {
  const [name, ...rest] = names;
  if (name === undefined) return replace(value);
  const child = childOf(value, name);
  if (child === undefined) return value;
  const replaced = replacedWithin(child, rest, replace);
  if (Array.isArray(value)) return value.with(Number(name), replaced);
  return Object.fromEntries(Object.entries(value ?? {}).map(([key, old]) => [key, key === name ? replaced : old]));
}

function childOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  if (Array.isArray(value)) return /^\d+$/.test(name) ? value[Number(name)] : undefined;
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}
