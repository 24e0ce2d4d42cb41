// The named operations of data-transform: what each makes of data, and what it refuses.
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { DataTransformInputSchema } from "../../../gen/mycel/tasks/v1/data_transform_pb.ts";
import { transformed } from "../../../services/worker/data-transform/operations.ts";

function run(data: JsonValue, ...operations: JsonValue[]): JsonValue {
  return transformed(data, fromJson(DataTransformInputSchema, { operations }).operations);
}

const PEOPLE = [
  { name: "Öse", age: 40, city: { code: 2 }, tags: ["a"] },
  { name: "Zoe", age: 30, city: { code: 1 } },
  { name: "Ann", age: null, city: { code: 2 }, tags: ["b", "a"] },
];

const names = (value: JsonValue): unknown => (Array.isArray(value) ? value.map((item) => Object(item).name) : value);

test.for<[string, JsonValue, JsonValue[], JsonValue]>([
  [
    "numbers by size, then strings, then the rest, null last",
    [null, "b", true, 10, "a", false, 9],
    [{ sort: {} }],
    [9, 10, "a", "b", false, true, null],
  ],
  ["descending, null still last", [null, 1, 3, 2], [{ sort: { descending: true } }], [3, 2, 1, null]],
  ["digits as numbers", ["f10", "f9"], [{ sort: { numeric: true } }], ["f9", "f10"]],
  ["digits as characters", ["f9", "f10"], [{ sort: {} }], ["f10", "f9"]],
  ["by the rules of a language", ["z", "ö", "a"], [{ sort: { locale: "de" } }], ["a", "ö", "z"]],
  ["by those of another", ["ö", "z", "a"], [{ sort: { locale: "sv" } }], ["a", "z", "ö"]],
  ["a list turned around", [1, 2], [{ reverse: {} }], [2, 1]],
  ["a string turned around by characters", "a😀b", [{ reverse: {} }], "b😀a"],
  [
    "equal items once, whatever the order of their fields",
    [{ a: 1, b: 2 }, 1, { b: 2, a: 1 }, 1, "1"],
    [{ unique: {} }],
    [{ a: 1, b: 2 }, 1, "1"],
  ],
  ["a stretch", [1, 2, 3, 4], [{ limit: { count: 2, offset: 1 } }], [2, 3]],
  ["nothing of it", [1], [{ limit: { count: 0 } }], []],
  ["lists laid out one level", [1, [2, [3]]], [{ flatten: {} }], [1, 2, [3]]],
  ["lists laid out deeper", [1, [2, [3]]], [{ flatten: { depth: 9 } }], [1, 2, 3]],
  [
    "groups, also of what has no value and of a name that objects know",
    [{ k: "a" }, { k: 1 }, {}, { k: "a" }, { k: "__proto__" }],
    [{ group: { by: "k" } }],
    JSON.parse('{"1":[{"k":1}],"a":[{"k":"a"},{"k":"a"}],"":[{}],"__proto__":[{"k":"__proto__"}]}'),
  ],
  ["some fields", [{ a: 1, b: 2 }, {}], [{ pick: { fields: ["a", "toString"] } }], [{ a: 1 }, {}]],
  ["all fields but some", { a: 1, b: 2 }, [{ omit: { fields: ["a"] } }], { b: 2 }],
  ["every string", { a: ["x", { b: "straße", c: 1 }] }, [{ uppercase: {} }], { a: ["X", { b: "STRASSE", c: 1 }] }],
  [
    "the strings at a path of each item",
    [{ a: " X ", b: " X " }, { a: 1 }, {}],
    [{ trim: { path: "a" } }, { lowercase: { path: "a" } }],
    [{ a: "x", b: " X " }, { a: 1 }, {}],
  ],
  [
    "a path through a list",
    { a: [{ b: "x" }, { b: "y" }] },
    [{ uppercase: { path: "a.1.b" } }],
    { a: [{ b: "x" }, { b: "Y" }] },
  ],
  ["values at a path", PEOPLE, [{ map: { path: "city.code" } }], [2, 1, 2]],
  ["null where there is none", [{ a: [5] }, {}], [{ map: { path: "a.0" } }], [5, null]],
  ["how many", PEOPLE, [{ count: {} }], 3],
  ["a sum of what are numbers", PEOPLE, [{ sum: { by: "age" } }], 70],
  ["an average of what are numbers", PEOPLE, [{ average: { by: "age" } }], 35],
  ["the smallest", [3, -1, 2], [{ min: {} }], -1],
  ["the largest", [3, -1, 2, "9"], [{ max: {} }], 3],
  ["a sum of none", [], [{ sum: {} }], 0],
  ["the smallest of none", [], [{ min: {} }], null],
  ["an average of none", ["x"], [{ average: {} }], null],
  [
    "one operation after the other",
    [3, 1, 2, 3],
    [{ unique: {} }, { sort: {} }, { limit: { count: 2 } }, { sum: {} }],
    3,
  ],
])("%s", ([, data, operations, expected]) => {
  const before = structuredClone(data);
  expect(run(data, ...operations)).toEqual(expected);
  expect(data).toEqual(before);
});

test.for<[JsonValue, string[]]>([
  [{ path: "age", above: 30 }, ["Öse"]],
  [{ path: "age", atLeast: 30 }, ["Öse", "Zoe"]],
  [{ path: "age", below: 40 }, ["Zoe"]],
  [{ path: "age", atMost: 40 }, ["Öse", "Zoe"]],
  [{ path: "age", exists: true }, ["Öse", "Zoe"]],
  [{ path: "age", exists: false }, ["Ann"]],
  [{ path: "age", equals: null }, ["Ann"]],
  [{ path: "city", equals: { code: 2 } }, ["Öse", "Ann"]],
  [{ path: "city.code", notEquals: 2 }, ["Zoe"]],
  [{ path: "name", contains: "e" }, ["Öse", "Zoe"]],
  [{ path: "tags", contains: "a" }, ["Öse", "Ann"]],
])("filter by %j", ([filter, expected]) => {
  expect(names(run(PEOPLE, { filter }))).toEqual(expected);
});

test.for<[string, JsonValue, JsonValue[], string]>([
  ["a list where none is", { a: 1 }, [{ reverse: {} }], "operations[0].reverse: needs a list, was given an object"],
  [
    "an object where none is",
    [1],
    [{ pick: { fields: ["a"] } }],
    "operations[0].pick: needs objects, was given a number",
  ],
  [
    "a sum beyond all numbers",
    [1e308, 1e308],
    [{ sum: {} }],
    "operations[0].sum: the sum is larger than a number can be",
  ],
  [
    "an average of it",
    [1e308, 1e308],
    [{ average: {} }],
    "operations[0].average: the sum is larger than a number can be",
  ],
  ["the second of two", [1], [{ count: {} }, { sort: {} }], "operations[1].sort: needs a list, was given a number"],
])("%s is told with its place", ([, data, operations, message]) => {
  expect(() => run(data, ...operations)).toThrow(message);
});

test("sorting is stable and changes only the order", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ key: fc.integer({ min: 0, max: 3 }), id: fc.nat() })), (items) => {
      const expected = items.toSorted((a, b) => a.key - b.key);
      expect(run(items, { sort: { by: "key" } })).toEqual(expected);
    }),
  );
});

test("two reversals, a second unique and a second flattening change nothing", () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 3 })), (items) => {
      const data: JsonValue = JSON.parse(JSON.stringify(items));
      expect(run(data, { reverse: {} }, { reverse: {} })).toEqual(data);
      const once = run(data, { unique: {} });
      expect(run(once, { unique: {} })).toEqual(once);
      const flat = run(data, { flatten: { depth: 100 } });
      expect(run(flat, { flatten: {} })).toEqual(flat);
    }),
  );
});

test("every item is in exactly one group", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ k: fc.string() })), (items) => {
      const groups = run(items, { group: { by: "k" } });
      const all = Object.entries(groups ?? {}).flatMap(([key, group]) => {
        expect((group as { k: string }[]).every(({ k }) => k === key)).toBe(true);
        return group;
      });
      expect(all).toHaveLength(items.length);
    }),
  );
});
