// Which rule decides, what it says, and which facts it asks for.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defaultRules } from "../../../sdk/router/index.ts";
import { checkRules } from "../../../sdk/router/rule-check.ts";
import { decide, type FactSource, type Rule, type RuleCondition } from "../../../sdk/router/rule.ts";

interface Facts {
  readonly type: string;
  readonly handler: boolean;
  readonly meshOnly: boolean;
  readonly inputBytes: number;
  readonly circuitOpen: boolean;
  readonly outage: string | undefined;
  readonly load: number | undefined;
}

const QUIET: Facts = {
  type: "echo",
  handler: true,
  meshOnly: false,
  inputBytes: 100,
  circuitOpen: false,
  outage: undefined,
  load: 0.2,
};

function sourceOf(facts: Facts): FactSource & { readonly asked: string[] } {
  const asked: string[] = [];
  const noted = <T>(name: string, value: T): T => {
    asked.push(name);
    return value;
  };
  return {
    ...facts,
    asked,
    inputBytes: () => noted("inputBytes", facts.inputBytes),
    circuits: () => noted("circuits", new Map([["http://a", facts.circuitOpen ? "open" : "closed"] as const])),
    outage: async () => noted("outage", facts.outage),
    load: async () => noted("load", facts.load),
  };
}

describe("the default rules", () => {
  const rules = defaultRules({ heavy: ["analyse"], light: ["uppercase"] });
  test.for<[string, Partial<Facts>, "local" | "mesh", string]>([
    ["nothing special", {}, "mesh", "otherwise"],
    ["no handler here", { handler: false }, "mesh", "no-handler"],
    ["no handler here and a mesh that is out", { handler: false, outage: "down" }, "mesh", "no-handler"],
    ["what only the mesh can do", { meshOnly: true, outage: "down" }, "mesh", "mesh-only"],
    ["a heavy type", { type: "analyse" }, "mesh", "heavy"],
    ["a heavy type and an open circuit", { type: "analyse", circuitOpen: true }, "mesh", "heavy"],
    ["a light type", { type: "uppercase" }, "local", "light"],
    ["a light type without a handler", { type: "uppercase", handler: false }, "mesh", "no-handler"],
    ["an open circuit", { circuitOpen: true }, "local", "circuit-open"],
    ["a mesh that is out", { outage: "connection refused" }, "local", "unhealthy"],
    ["a large input and a mesh that is out", { inputBytes: 50_000, outage: "down" }, "local", "unhealthy"],
    ["an input of 10 KB", { inputBytes: 10_240 }, "mesh", "otherwise"],
    ["an input of more than 10 KB", { inputBytes: 10_241 }, "mesh", "large-input"],
    ["a large input and a busy mesh", { inputBytes: 10_241, load: 3 }, "mesh", "large-input"],
    ["a mesh at its threshold", { load: 0.9 }, "mesh", "otherwise"],
    ["a mesh above its threshold", { load: 0.91 }, "local", "overloaded"],
    ["a type that no agent offers", { load: Number.POSITIVE_INFINITY }, "local", "overloaded"],
    ["a load that nobody knows", { load: undefined }, "mesh", "otherwise"],
  ])("send %s", async ([, facts, where, rule]) => {
    const decision = await decide(rules, sourceOf({ ...QUIET, ...facts }));
    expect(decision).toMatchObject({ where, rule });
  });

  test("keep heavy tasks, and what only the mesh can do, out of this process whatever happens, and others not", () => {
    expect(rules.filter(({ fallback }) => fallback === false).map(({ name }) => name)).toEqual(["mesh-only", "heavy"]);
  });

  test("are such as a router takes", () => {
    expect(checkRules(rules)).toBe(rules);
    expect(checkRules(defaultRules())).toEqual(defaultRules());
  });
});

test("a decision says in a sentence why, and shows the facts that it looked at", async () => {
  const rules: Rule[] = [{ name: "busy", when: { loadOver: 0.8, inputOverBytes: 10, handler: true }, run: "local" }];
  expect(await decide(rules, sourceOf({ ...QUIET, load: 0.8543 }))).toEqual({
    where: "local",
    rule: "busy",
    fallback: true,
    fellBack: false,
    because:
      '"echo" runs in this process by rule busy: there is a handler for it here, and its input has 100 bytes, more than 10, and the load of the mesh is 0.85, more than 0.8',
    facts: { type: "echo", handler: true, meshOnly: false, inputBytes: 100, load: 0.8543 },
  });
  const unhealthy = await decide(defaultRules(), sourceOf({ ...QUIET, outage: "http://a is not_serving" }));
  expect(unhealthy.because).toBe(
    '"echo" runs in this process by rule unhealthy: no coordinator serves (http://a is not_serving)',
  );
});

test("the mesh is asked for nothing that the decision does not need", async () => {
  const rules = defaultRules({ heavy: ["analyse"], light: ["uppercase"] });
  const asked = async (facts: Partial<Facts>): Promise<string[]> => {
    const source = sourceOf({ ...QUIET, ...facts });
    await decide(rules, source);
    return source.asked;
  };
  expect(await asked({ handler: false })).toEqual([]);
  expect(await asked({ type: "analyse" })).toEqual([]);
  expect(await asked({ type: "uppercase" })).toEqual([]);
  expect(await asked({ circuitOpen: true })).toEqual(["circuits"]);
  expect(await asked({ inputBytes: 20_000 })).toEqual(["circuits", "outage", "inputBytes"]);
  expect(await asked({})).toEqual(["circuits", "outage", "inputBytes", "load"]);
});

const conditions: fc.Arbitrary<RuleCondition> = fc
  .record(
    {
      types: fc.subarray(["a", "b", "c"]),
      handler: fc.boolean(),
      inputOverBytes: fc.nat(100),
      meshOnly: fc.boolean(),
      circuitOpen: fc.boolean(),
      healthy: fc.boolean(),
      loadOver: fc.double({ min: 0, max: 2, noNaN: true }),
    },
    { requiredKeys: [] },
  )
  .filter((when) => Object.keys(when).length > 0);

const ruleLists: fc.Arbitrary<Rule[]> = fc
  .array(fc.record({ when: conditions, run: fc.constantFrom("local" as const, "mesh" as const) }), { maxLength: 6 })
  .map((rules) => rules.map((rule, index) => ({ ...rule, name: `rule-${index}` })));

const situations: fc.Arbitrary<Facts> = fc.record({
  type: fc.constantFrom("a", "b", "c"),
  handler: fc.boolean(),
  meshOnly: fc.boolean(),
  inputBytes: fc.nat(200),
  circuitOpen: fc.boolean(),
  outage: fc.constantFrom(undefined, "down"),
  load: fc.option(fc.double({ min: 0, max: 3, noNaN: true }), { nil: undefined }),
});

/** What the documentation says, in the plainest form. */
function holds(when: RuleCondition, facts: Facts): boolean {
  return (
    (when.types === undefined || when.types.includes(facts.type)) &&
    (when.handler === undefined || when.handler === facts.handler) &&
    (when.inputOverBytes === undefined || facts.inputBytes > when.inputOverBytes) &&
    (when.meshOnly === undefined || when.meshOnly === facts.meshOnly) &&
    (when.circuitOpen === undefined || when.circuitOpen === facts.circuitOpen) &&
    (when.healthy === undefined || when.healthy === (facts.outage === undefined)) &&
    (when.loadOver === undefined || (facts.load !== undefined && facts.load > when.loadOver))
  );
}

test("whatever the rules: the first that applies decides, local needs a handler, and each fact is asked for once", async () => {
  await fc.assert(
    fc.asyncProperty(ruleLists, situations, async (rules, facts) => {
      const source = sourceOf(facts);
      const { where, rule, because } = await decide(checkRules(rules), source);
      const mayRunHere = facts.handler && !facts.meshOnly;
      const first = rules.find(({ when, run }) => (run === "mesh" || mayRunHere) && holds(when, facts));
      expect({ where, rule }).toEqual({ where: first?.run ?? "mesh", rule: first?.name ?? "otherwise" });
      if (where === "local") expect(mayRunHere).toBe(true);
      expect(new Set(source.asked.filter((name) => name !== "circuits")).size).toBe(
        source.asked.filter((name) => name !== "circuits").length,
      );
      expect(because).toMatch(/^"[abc]" runs in (?:this process|the mesh) by rule [\w-]+: .+/);
    }),
    { numRuns: 500 },
  );
});

test("rules read back from JSON decide as before", async () => {
  await fc.assert(
    fc.asyncProperty(ruleLists, situations, async (rules, facts) => {
      const read = JSON.parse(JSON.stringify(rules)) as Rule[];
      expect(await decide(read, sourceOf(facts))).toEqual(await decide(rules, sourceOf(facts)));
    }),
    { numRuns: 200 },
  );
});

test("tells everything that is wrong with rules at once", () => {
  const wrong = [
    { name: "", when: { types: "echo" }, run: "here" },
    { name: "a", when: {}, run: "mesh" },
    { name: "a", when: { load: 1, inputOverBytes: 1.5, loadOver: -1, healthy: "no" }, run: "local", fallback: 1 },
    { name: "otherwise", when: { handler: true }, run: "local" },
  ] as unknown as Rule[];
  let thrown: unknown;
  try {
    checkRules(wrong);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ code: "invalid_argument", reason: "INVALID_OPTION" });
  expect((thrown as { violations: { field: string; description: string }[] }).violations).toEqual([
    { field: "rules[0].name", description: 'must be 1 to 64 characters, got ""' },
    { field: "rules[0].run", description: 'must be "local" or "mesh", got "here"' },
    { field: "rules[0].when.types", description: "must be a list of task types" },
    { field: "rules[1].when", description: "must say something" },
    { field: "rules[2].name", description: 'must be another than the rules\' before, got "a"' },
    { field: "rules[2].fallback", description: "must be true or false" },
    {
      field: "rules[2].when.load",
      description:
        "is unknown, must be one of types, handler, inputOverBytes, meshOnly, circuitOpen, healthy, loadOver",
    },
    { field: "rules[2].when.inputOverBytes", description: "must be a whole number of bytes" },
    { field: "rules[2].when.loadOver", description: "must be a number of at least 0, got -1" },
    { field: "rules[2].when.healthy", description: 'must be true or false, got "no"' },
    { field: "rules[3].name", description: 'must not be "otherwise"' },
  ]);
});
