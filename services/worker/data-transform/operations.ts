// What each named operation makes of JSON data. Pure; never changes what it is given.
import { type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { FilterOperation, TransformOperation } from "../../../gen/mycel/tasks/v1/data_transform_pb.ts";
import { canonical, isObject, kindOf } from "./json-kinds.ts";
import { replacedAt, valueAt } from "./json-path.ts";
import { sorted } from "./sort-order.ts";

/** An operation was given data that it cannot work on. */
export class OperationError extends Error {
  override readonly name = "OperationError";
}

type Kind = TransformOperation["kind"];
type Operation<Case extends Kind["case"]> = Extract<Kind, { case: Case }>["value"];

/** Does the operations one after another. Throws {@link OperationError} with the place of the one that cannot be done. */
export function transformed(data: JsonValue, operations: readonly TransformOperation[]): JsonValue {
  return operations.reduce((value, operation, i) => {
    try {
      return applied(value, operation.kind);
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
      throw new OperationError(`operations[${i}].${operation.kind.case ?? ""}: ${error.message}`);
    }
  }, data);
}

function applied(value: JsonValue, kind: Kind): JsonValue {
  switch (kind.case) {
    case "sort":
      return sorted(list(value), kind.value);
    case "reverse":
      return typeof value === "string" ? Array.from(value).toReversed().join("") : list(value).toReversed();
    case "unique":
      return unique(list(value), kind.value.by);
    case "filter": {
      const { path, test } = kind.value;
      const passes = testOf(test);
      return list(value).filter((item) => passes(valueAt(item, path)));
    }
    case "limit":
      return list(value).slice(kind.value.offset, kind.value.offset + (kind.value.count ?? 0));
    case "flatten":
      return flattened(list(value), kind.value.depth ?? 1);
    case "group":
      return grouped(list(value), kind.value.by);
    case "pick":
      return fieldsOf(value, (name) => kind.value.fields.includes(name));
    case "omit":
      return fieldsOf(value, (name) => !kind.value.fields.includes(name));
    case "uppercase":
      return texts(value, kind.value, (text) => text.toUpperCase());
    case "lowercase":
      return texts(value, kind.value, (text) => text.toLowerCase());
    case "trim":
      return texts(value, kind.value, (text) => text.trim());
    case "map":
      return list(value).map((item) => valueAt(item, kind.value.path) ?? null);
    case "count":
      return list(value).length;
    case "sum":
      return finite(sumOf(numbers(value, kind.value)));
    case "average": {
      const all = numbers(value, kind.value);
      return all.length === 0 ? null : finite(sumOf(all)) / all.length;
    }
    case "min":
      return extreme(numbers(value, kind.value), (a, b) => a < b);
    case "max":
      return extreme(numbers(value, kind.value), (a, b) => a > b);
    default:
      return value;
  }
}

function list(value: JsonValue): JsonValue[] {
  if (Array.isArray(value)) return value;
  throw new OperationError(`needs a list, was given ${kindOf(value)}`);
}

function unique(items: readonly JsonValue[], by: string): JsonValue[] {
  const seen = new Set<string>();
  return items.filter((item) => {
    const key = canonical(valueAt(item, by));
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function testOf(test: FilterOperation["test"]): (value: JsonValue | undefined) => boolean {
  switch (test.case) {
    case "equals":
    case "notEquals": {
      const wanted = canonical(jsonOf(test.value));
      const isEqual = test.case === "equals";
      return (value) => (canonical(value ?? null) === wanted) === isEqual;
    }
    case "above":
      return (value) => typeof value === "number" && value > test.value;
    case "atLeast":
      return (value) => typeof value === "number" && value >= test.value;
    case "below":
      return (value) => typeof value === "number" && value < test.value;
    case "atMost":
      return (value) => typeof value === "number" && value <= test.value;
    case "contains":
      return (value) => (typeof value === "string" || Array.isArray(value)) && value.includes(test.value);
    case "exists":
      return (value) => ((value ?? null) !== null) === test.value;
    default:
      return () => true;
  }
}

function jsonOf(value: Value): JsonValue {
  return toJson(ValueSchema, value);
}

function flattened(items: readonly JsonValue[], depth: number): JsonValue[] {
  return items.flatMap((item) => {
    if (!Array.isArray(item)) return [item];
    return depth > 1 ? flattened(item, depth - 1) : item;
  });
}

function grouped(items: readonly JsonValue[], by: string): JsonObject {
  const groups = Map.groupBy(items, (item) => {
    const key = valueAt(item, by) ?? "";
    return typeof key === "string" ? key : canonical(key);
  });
  // Defines properties, so a group may be called __proto__.
  return Object.fromEntries(groups);
}

function fieldsOf(value: JsonValue, isKept: (name: string) => boolean): JsonValue {
  const kept = (item: JsonValue): JsonValue => {
    if (!isObject(item)) throw new OperationError(`needs objects, was given ${kindOf(item)}`);
    return Object.fromEntries(Object.entries(item).filter(([name]) => isKept(name)));
  };
  return Array.isArray(value) ? value.map(kept) : kept(value);
}

function texts(value: JsonValue, { path }: Operation<"trim">, change: (text: string) => string): JsonValue {
  const everywhere = (at: JsonValue): JsonValue => {
    if (typeof at === "string") return change(at);
    if (Array.isArray(at)) return at.map(everywhere);
    if (!isObject(at)) return at;
    return Object.fromEntries(Object.entries(at).map(([name, field]) => [name, everywhere(field)]));
  };
  if (path === "") return everywhere(value);
  const here = (at: JsonValue): JsonValue => (typeof at === "string" ? change(at) : at);
  return Array.isArray(value) ? value.map((item) => replacedAt(item, path, here)) : replacedAt(value, path, here);
}

function numbers(value: JsonValue, { by }: Operation<"sum">): number[] {
  return list(value)
    .map((item) => valueAt(item, by))
    .filter((item) => typeof item === "number");
}

function sumOf(all: readonly number[]): number {
  return all.reduce((sum, number) => sum + number, 0);
}

/** JSON has no infinity, and would say null. */
function finite(sum: number): number {
  if (Number.isFinite(sum)) return sum;
  throw new OperationError("the sum is larger than a number can be");
}

function extreme(all: readonly number[], isBetter: (a: number, b: number) => boolean): number | null {
  const [first] = all;
  return first === undefined ? null : all.reduce((best, number) => (isBetter(number, best) ? number : best), first);
}
