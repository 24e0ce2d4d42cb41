// McCabe complexity, nesting and names of functions, snippet by snippet.
import { expect, test } from "vitest";
import { analyseSource, type SourceMetrics } from "../../../services/worker/code-analysis/source-analysis.ts";

function measure(text: string): SourceMetrics {
  const source = analyseSource(text, "ts", 50);
  if (source.kind === "unparsed") throw new Error(`unparsed: ${JSON.stringify(source.findings)}`);
  return source;
}

function complexityOf(body: string): number | undefined {
  return measure(`async function f(a, b, c) { ${body} }`).functions.longest.find(({ name }) => name === "f")
    ?.complexity;
}

test.for<[string, number]>([
  ["", 1],
  ["return a + b", 1],
  ["if (a) b()", 2],
  ["if (a) b(); else c()", 2],
  ["if (a) b(); else if (c) a(); else b()", 3],
  ["for (let i = 0; i < a; i++) b()", 2],
  ["for (;;) break", 2],
  ["for (const k in a) b()", 2],
  ["for (const v of a) b()", 2],
  ["for await (const v of a) b()", 2],
  ["while (a) b()", 2],
  ["do b(); while (a)", 2],
  ["switch (a) {}", 1],
  ["switch (a) { default: b() }", 1],
  ["switch (a) { case 1: case 2: b(); break; default: c() }", 3],
  ["try { a() } catch { b() }", 2],
  ["try { a() } finally { b() }", 1],
  ["try { a() } catch (e) { b() } finally { c() }", 2],
  ["return a ? b : c", 2],
  ["return a ? b : c ? a : b", 3],
  ["return a && b", 2],
  ["return a || b || c", 3],
  ["return a ?? b", 2],
  ["return (a && b) || (b && c)", 4],
  ["a &&= b", 2],
  ["a ||= b", 2],
  ["a ??= b", 2],
  ["a += b; a = c", 1],
  ["return a?.b?.()", 1],
  ["return !a && `${b ? 1 : 2}`", 3],
  ["throw a; label: { break label }", 1],
  ["await a; return import('x')", 1],
  ["let x: a extends b ? 1 : 2", 1],
  ["return () => a && b", 1],
  ["function g() { if (a) b() } return g", 1],
  ["return class { x = a ? 1 : 2; static { if (b) c() } }", 3],
  ["if (a && (b || c)) for (const x of a) while (x) { x ? a() : b() }", 7],
])("the body `%s` has complexity %i", ([body, complexity]) => {
  expect(complexityOf(body)).toBe(complexity);
});

test("a default of a parameter belongs to the function that it is written in", () => {
  expect(measure("function f(a = b || c) {}").functions.longest).toEqual([
    { name: "f", line: 1, lines: 1, complexity: 2 },
  ]);
});

test("the complexity of a file is that of its functions plus its own body", () => {
  const { complexity } = measure("if (a) b();\nconst f = () => a ? 1 : 2;\nfunction g() {}\n");
  expect(complexity).toBe(2 + 2 + 1);
  expect(measure("").complexity).toBe(1);
});

test.for<[string, number]>([
  ["a()", 0],
  ["{ { a() } }", 0],
  ["if (a) b()", 1],
  ["if (a) b(); else if (b) c(); else if (c) a()", 1],
  ["if (a) b(); else { if (b) c() }", 2],
  ["if (a) { if (b) c() }", 2],
  ["if (a) if (b) c()", 2],
  ["for (;;) while (a) do if (b) c(); while (a)", 4],
  ["try { switch (a) { case 1: for (const x of a) for (const y in x) a() } } catch {}", 4],
  ["if (a) { const f = () => { if (b) c() } }", 1],
  ["while (a) {} while (b) {}", 1],
])("`%s` nests %i deep", ([text, depth]) => {
  expect(measure(text).maxNesting).toBe(depth);
});

test.for<[string, string[]]>([
  ["function f() {}", ["f"]],
  ["export default function () {}", ["default"]],
  ["export default () => 1", ["default"]],
  ["const f = () => 1, g = function () {}, h = function own() {}", ["f", "g", "own"]],
  ["let f; f = () => 1; a.b = () => 2; this.c = () => 3; a().d.e = () => 4", ["f", "a.b", "this.c", "d.e"]],
  ["f ??= () => 1", ["f"]],
  ["const { f = () => 1 } = a", ["f"]],
  [
    "const o = { m() {}, p: () => 1, 'q r': () => 1, [k]: () => 1, get g() { return 1 } }",
    ["m", "p", "q r", "[k]", "g"],
  ],
  ["class A { constructor() {} m() {} #p() {} static s() {} }", ["A.constructor", "A.m", "A.#p", "A.s"]],
  ["class A { get g() { return 1 } set g(v) {} f = () => 1 }", ["get A.g", "set A.g", "A.f"]],
  ["const B = class { m() {} }", ["B.m"]],
  ["class A { m() { return class C { n() {} } } o() {} }", ["C.n", "A.m", "A.o"]],
  [
    "list.map(() => 1); on('x', function () {}); new Promise((r) => r())",
    ["callback of list.map", "callback of on", "callback of Promise"],
  ],
  ["(() => 1)(); (function () {})()", ["(called at once)", "(called at once)"]],
  ["[() => 1]", ["(anonymous)"]],
  ["a[b] = () => 1", ["(anonymous)"]],
])("the functions of `%s` are called so", ([text, names]) => {
  const { longest, count } = measure(text).functions;
  expect(longest.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
  expect(count).toBe(names.length);
});

test("what has no body is no function", () => {
  const text = `declare function d(): void;
    function o(a: string): void; function o(a: number): void; function o(a: unknown): void {}
    abstract class A { abstract m(): void; n?(): void; p(): void {} }
    interface I { q(): void } type T = () => void;`;
  expect(measure(text).functions.longest.map(({ name }) => name)).toEqual(["o", "A.p"]);
});

test("a long name is cut and holds nothing that a terminal obeys", () => {
  const [first] = measure(`const o = { "\\u001b[31m${"x".repeat(99)}": () => 1 }`).functions.longest;
  expect(first?.name).toHaveLength(60);
  expect(first?.name).toMatch(/^ \[31mx+…$/);
});

test("length counts the lines from the first to the last, nested functions included", () => {
  const text = "const a = 1;\nfunction f(\n  x,\n) {\n  return () => {\n    x();\n  };\n}\n";
  expect(measure(text).functions.longest).toEqual([
    { name: "f", line: 2, lines: 7, complexity: 1 },
    { name: "(anonymous)", line: 5, lines: 3, complexity: 1 },
  ]);
});
