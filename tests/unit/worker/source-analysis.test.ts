// Lines, imports, exports, markers and findings of parsed sources, with exact expected numbers.
import { expect, test } from "vitest";
import type { Dialect } from "../../../services/worker/code-analysis/language.ts";
import { analyseSource, type SourceMetrics } from "../../../services/worker/code-analysis/source-analysis.ts";

function measure(text: string, dialect: Dialect = "ts"): SourceMetrics {
  const source = analyseSource(text, dialect, 5);
  if (source.kind === "unparsed") throw new Error(`unparsed: ${JSON.stringify(source.findings)}`);
  return source;
}

test("one small module is measured exactly", () => {
  const text = `// What this is.
import { a, type B } from "./a.ts";
import fs = require("node:fs");

/** Says hello. TODO: say more. */
export class Greeter {
  greet(name?: string): string { // FIXME
    return name ? \`TODO \${a}\` : "XXX";
  }
}

export const later = async () => import("./later.ts");
`;
  expect(measure(text)).toEqual({
    kind: "parsed",
    lines: { total: 12, code: 8, comment: 2, blank: 2, longest: 54 },
    functions: {
      count: 2,
      longest: [
        { name: "Greeter.greet", line: 7, lines: 3, complexity: 2 },
        { name: "later", line: 12, lines: 1, complexity: 1 },
      ],
      mostComplex: [{ name: "Greeter.greet", line: 7, lines: 3, complexity: 2 }],
    },
    classes: 1,
    imports: { count: 3, modules: 3, specifiers: ["./a.ts", "./later.ts", "node:fs"] },
    exports: 2,
    complexity: 1 + 2 + 1,
    maxNesting: 0,
    todos: 2,
    findingCount: 0,
    findings: [],
  });
});

test.for<[string, { total: number; code: number; comment: number; blank: number }]>([
  ["", { total: 0, code: 0, comment: 0, blank: 0 }],
  ["a", { total: 1, code: 1, comment: 0, blank: 0 }],
  ["a\n", { total: 1, code: 1, comment: 0, blank: 0 }],
  ["a\n\n", { total: 2, code: 1, comment: 0, blank: 1 }],
  ["a\r\n \t\r\n// b\r\n", { total: 3, code: 1, comment: 1, blank: 1 }],
  ["a // b\n/* c */ d\n/* e */", { total: 3, code: 2, comment: 1, blank: 0 }],
  ["/*\n\n b\n*/ a /* c\n d */", { total: 5, code: 1, comment: 3, blank: 1 }],
  ["`\n// no comment\n\n`", { total: 4, code: 3, comment: 0, blank: 1 }],
  ["'/* no comment */';\n/x\\/\\/y/", { total: 2, code: 2, comment: 0, blank: 0 }],
])("the lines of %j are told apart", ([text, lines]) => {
  expect(measure(text).lines).toMatchObject(lines);
});

test.for<[string, number, string[]]>([
  ["import 'a'; import b from 'b'; import * as c from 'c'; import { d, e } from 'd'", 4, ["a", "b", "c", "d"]],
  ["import type { A } from 'a'", 1, ["a"]],
  ["export * from 'a'; export * as b from 'b'; export { c } from 'c'; export const d = 1", 3, ["a", "b", "c"]],
  ["import('a'); import(`b`); import(c)", 3, ["a", "b"]],
  ["require('a'); require(`b`); require(c); require(); a.require('d')", 2, ["a", "b"]],
  ["import a = require('a'); import b = N.b", 1, ["a"]],
  ["import 'a'; require('a'); import('a')", 3, ["a"]],
  ["const text = \"import 'a'\"; // import 'b'", 0, []],
])("`%s` imports in %i places", ([text, count, specifiers]) => {
  expect(measure(text).imports).toEqual({ count, modules: specifiers.length, specifiers });
});

test("many imports are counted exactly and listed in part", () => {
  const text = Array.from({ length: 40 }, (_, index) => `import "m${String(index).padStart(2, "0")}";`).join("\n");
  const { count, modules, specifiers } = measure(text).imports;
  expect([count, modules, specifiers.length, specifiers[0], specifiers[15]]).toEqual([40, 40, 16, "m00", "m15"]);
});

test.for<[string, number]>([
  ["export const a = 1, b = 2", 2],
  ["export const { a, b: [c] } = d", 2],
  ["export function f() {} export class C {} export default 1", 3],
  ["export function f(a: 1): void; export function f(a: 2): void; export function f(a: any) {}", 1],
  ["const a = 1; export { a, a as b, a as 'c d' }", 3],
  ["export * from 'a'; export * from 'b'; export * as c from 'c'", 3],
  ["export type T = 1; export interface I {} export enum E {}", 3],
  ["declare module 'x' { export const a: 1; export const b: 1 }", 0],
  ["export = a", 1],
  ["module.exports = a", 1],
  ["exports.a = exports.b = void 0; exports.a = 1; module.exports.c = 2", 3],
  ["export {}", 0],
])("`%s` exports %i names", ([text, count]) => {
  expect(measure(text).exports).toBe(count);
});

test.for<[string, number]>([
  ["// TODO FIXME XXX HACK", 4],
  ["/* TODO: a\n * TODO: b */", 2],
  ["// todo Todo TODOS XXXX HACKED", 0],
  ["const TODO = 'FIXME'; `XXX`; /HACK/", 0],
])("the comments of %j hold %i markers", ([text, count]) => {
  expect(measure(text).todos).toBe(count);
});

test("text in JSX is no comment, a comment in JSX is one", () => {
  expect(measure("const a = <p>TODO {/* TODO */}</p>;", "tsx").todos).toBe(1);
});

test.for<[string, Dialect, string]>([
  ["a JavaScript module", "jsx", "import a from 'a'; await a;"],
  ["a script that returns at its top level", "jsx", "if (a) return; module.exports = 1"],
  ["a sloppy script", "jsx", "with (a) { b = 010 }"],
  ["JSX in a .js file", "jsx", "export const a = <b c={1}>d</b>"],
  ["TSX", "tsx", "const a = <T,>(x: T) => <b>{x as any}</b>"],
  ["a declaration file", "dts", "export declare const a: number; declare global { interface X {} }"],
  ["modern syntax", "ts", "#!/usr/bin/env node\nusing a = b; class C { accessor d = 1; @e() f() {} } enum G { H }"],
])("%s is parsed without findings", ([, dialect, text]) => {
  expect(measure(text, dialect).findings).toEqual([]);
});

test("a source that makes no sense at all is a finding with its line, and claims no functions", () => {
  const source = analyseSource("const a = 1;\nfunction f( {\n", "ts", 5);
  expect(source).toEqual({
    kind: "unparsed",
    findingCount: 1,
    findings: [{ line: expect.any(Number), message: expect.stringContaining("Expected") }],
  });
});

test("a mistake that the parser recovers from leaves the other measures whole", () => {
  const source = measure("const a = 1;\nfunction f() { return 1; }\nconst b;\n");
  expect(source.findings).toEqual([{ line: 3, message: "Missing initializer in const declaration" }]);
  expect(source.functions.count).toBe(1);
});

test.for<[string, string]>([
  ["brackets", "[".repeat(50_000)],
  ["nested functions", "(function(){return ".repeat(9_000)],
  ["arrow functions", `x=${"a=>".repeat(50_000)}1`],
  ["else if", `if(a){}${"else if(a){}".repeat(50_000)}`],
  ["conditionals", `x=${"a?1:".repeat(50_000)}1`],
  ["type arguments", `type X=${"A<".repeat(50_000)}B${">".repeat(50_000)}`],
  ["templates", `x=${"`${".repeat(50_000)}`],
])("%s nested deeply enough to kill a native parser are refused, not parsed", ([, text]) => {
  expect(analyseSource(text, "ts", 5)).toEqual({
    kind: "unparsed",
    findingCount: 1,
    findings: [{ message: "nested too deeply to be parsed safely" }],
  });
});

test.for<[string, (depth: number) => string, number]>([
  ["brackets", (depth) => `x=${"[".repeat(depth)}${"]".repeat(depth)}`, 1_300],
  ["nested functions", (depth) => `x=${"function(){return ".repeat(depth)}1${"}".repeat(depth)}`, 1_100],
  ["arrow functions", (depth) => `x=${"a=>".repeat(depth)}1`, 3_900],
  ["type arguments", (depth) => `type X=${"A<".repeat(depth)}B${">".repeat(depth)}`, 2_600],
  ["signs", (depth) => `x=${"!".repeat(depth)}a`, 7_900],
])("%s nested almost as deeply as is allowed are parsed and survived", ([, nest, depth]) => {
  expect(measure(nest(depth)).findings).toEqual([]);
});

test("a tree too deep for a recursive walk is walked", () => {
  const text = `const x = ${"1 + ".repeat(7_500)}1;`;
  expect(measure(text).findings).toEqual([]);
});
