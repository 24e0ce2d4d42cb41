// The data-transform task: its bounds, its expressions, and that nothing it is given can block or end the agent.
import { expect, test } from "vitest";
import { dataTransformTask } from "../../../services/worker/data-transform/data-transform-task.ts";
import { callCapability } from "../../support/handler-call.ts";

const task = dataTransformTask({ processes: 2 });

test("operations come before the expression", async () => {
  const input = {
    data: [{ a: 2 }, { a: 1 }, { a: 2 }],
    operations: [{ unique: {} }, { sort: { by: "a" } }],
    expression: "a",
  };
  expect((await callCapability(task, input)).result).toEqual({ result: [1, 2] });
});

test.for<[string, string, unknown]>([
  ["nothing found is null", "b.c", null],
  ["an object", '{ "sum": $sum(a) }', { sum: 3 }],
  ["a field called __proto__", '{ "__proto__": 1 }', JSON.parse('{"__proto__":1}')],
])("%s", async ([, expression, result]) => {
  expect((await callCapability(task, { data: { a: [1, 2] }, expression })).result).toEqual({ result });
});

test.for<[string, object, string]>([
  ["nothing at all", {}, "data: must be given; operations: must be given, or an expression"],
  ["nothing to do", { data: null }, "operations: must be given, or an expression"],
  [
    "everything wrong",
    {
      data: 1,
      operations: [
        { sort: { by: "x".repeat(257), locale: "no such" } },
        {},
        { limit: { offset: -1 } },
        { pick: {} },
        { filter: { path: "a" } },
        { flatten: { depth: 101 } },
        { group: {} },
        { map: {} },
        { shuffle: {} },
      ],
      expression: "x".repeat(16_385),
      timeLimitMs: 60_001,
    },
    [
      "operations[8].shuffle: unknown field; the fields are sort, reverse, unique, filter, limit, flatten, group, pick, omit, uppercase, lowercase, trim, map, count, sum, average, min, max",
      "operations[0].sort.by: must have at most 256 characters, has 257",
      "operations[0].sort.locale: must be a BCP 47 language tag such as de",
      "operations[1]: must name one of sort, reverse, unique, filter, limit, flatten, group, pick, omit, uppercase, lowercase, trim, map, count, sum, average, min, max",
      "operations[2].limit.count: must be given",
      "operations[2].limit.offset: must be a whole number from 0 to 1000000, is -1",
      "operations[3].pick.fields: must have 1 to 100 items, has 0",
      "operations[4].filter: must have one of equals, notEquals, above, atLeast, below, atMost, contains, exists",
      "operations[5].flatten.depth: must be a whole number from 1 to 100, is 101",
      "operations[6].group.by: must be given",
      "operations[7].map.path: must be given",
      "expression: must have at most 16384 characters, has 16385",
      "timeLimitMs: must be a whole number from 1 to 60000, is 60001",
    ].join("; "),
  ],
])("%s is refused", async ([, input, message]) => {
  expect((await callCapability(task, input)).failure).toBe(`INVALID_INPUT: invalid input: ${message}`);
});

test.for<[string, string, string]>([
  [
    "a broken expression",
    "1 +",
    "INVALID_INPUT: invalid input: expression: Unexpected end of expression (at character 3)",
  ],
  [
    "an error in it",
    '"a" + 1',
    'TRANSFORM_FAILED: expression: The left side of the "+" operator must evaluate to a number (at character 5)',
  ],
  [
    "a function as the result",
    "function($x){ $x }",
    "TRANSFORM_FAILED: the result has no JSON form: it is or holds a function",
  ],
  [
    "a result that is too large",
    '$pad("", 5000000, "x")',
    "RESULT_TOO_LARGE: the result has 5000002 characters of JSON, at most 4194304 are allowed",
  ],
  ["too deep a recursion", "($f := function($x){ 1 + $f($x) }; $f(1))", "TRANSFORM_FAILED: expression: Stack overflow"],
  [
    "more memory than there is for it",
    "$length($pad('x', 500000000))",
    "TRANSFORM_TOO_LARGE: it needed more than 128 MiB of memory",
  ],
])("%s fails for good and says why", async ([, expression, failure]) => {
  const { outcome, failure: told } = await callCapability(task, { data: {}, expression, timeLimitMs: 60_000 });
  expect(told).toContain(failure);
  expect(outcome).toMatchObject({ kind: "fail", failure: { retryable: false } });
});

test("an expression that changes what JSONata consists of changes nothing for the next", async () => {
  const one = dataTransformTask({ processes: 1 });
  // A transform writes into a copy of its input, which is none if $clone says so; here the input holds a function of the library.
  const overwrite = (name: string, by: string): string => `($t := |f|${by}|; $t({ "f": ${name} }))`;
  const expression = `($clone := function($x){ $x }; ${overwrite("$sum", "function($x){ 42 }")}; $sum([1, 2]))`;
  expect((await callCapability(one, { data: {}, expression })).result).toEqual({ result: 42 });
  expect((await callCapability(one, { data: {}, expression: "$sum([1, 2])" })).result).toEqual({ result: 3 });
});

test("text goes through base64 and back", async () => {
  const expression = '[$base64encode("é\\n"), $base64decode("6Qo")]';
  expect((await callCapability(task, { data: {}, expression })).result).toEqual({ result: ["6Qo=", "é\n"] });
});

test("a result nested too deeply is refused", async () => {
  const expression = `${"[".repeat(40)}1${"]".repeat(40)}`;
  expect((await callCapability(task, { data: 1, expression })).failure).toBe(
    "RESULT_TOO_LARGE: the result is nested deeper than 28 levels",
  );
});

const FOR_EVER = "($f := function($x){ $f($x + 1) }; $f(1))";

test.for([
  ["a loop", 1, FOR_EVER],
  ["a regular expression that goes back and forth", `${"a".repeat(64)}!`, "$match($, /^(a+)+$/)"],
] as const)("%s is ended by its time limit, and the agent goes on meanwhile", async ([, data, expression]) => {
  const order: string[] = [];
  const endless = callCapability(task, { data, expression, timeLimitMs: 200 }).then(({ failure }) => {
    order.push(failure ?? "");
  });
  for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
  order.push("the agent goes on");
  await endless;
  expect(order).toEqual(["the agent goes on", "TRANSFORM_TIMEOUT: it took more than 200 ms, its time limit"]);
});

test("a cancel ends an endless expression, one that waits for its turn, and leaves room for the next", async () => {
  const one = dataTransformTask({ processes: 1 });
  const running = new AbortController();
  const waiting = new AbortController();
  const endless = { data: 1, expression: FOR_EVER, timeLimitMs: 60_000 };
  const first = callCapability(one, endless, { signal: running.signal });
  const second = callCapability(one, endless, { signal: waiting.signal });
  const third = callCapability(one, { data: [2, 1], operations: [{ sort: {} }] });
  waiting.abort(new Error("canceled while it waited"));
  expect((await second).failure).toBe("HANDLER_ERROR: canceled while it waited");
  running.abort(new Error("canceled while it ran"));
  expect((await first).failure).toBe("HANDLER_ERROR: canceled while it ran");
  expect((await third).result).toEqual({ result: [1, 2] });
});

test("a cancel in the moment in which it starts ends it too", async () => {
  const controller = new AbortController();
  // Comes between two steps of the call, before anything else can.
  queueMicrotask(() => controller.abort(new Error("canceled at once")));
  const endless = { data: 1, expression: FOR_EVER, timeLimitMs: 100 };
  expect((await callCapability(task, endless, { signal: controller.signal })).failure).toBe(
    "HANDLER_ERROR: canceled at once",
  );
});
