// The totals of a task: sums of its files, whatever their order.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { totalsOf } from "../../../services/worker/code-analysis/analysis-totals.ts";
import { analyseFile } from "../../../services/worker/code-analysis/file-analysis.ts";
import type { FileMetrics } from "../../../services/worker/code-analysis/file-metrics.ts";

const statements = fc.array(
  fc.constantFrom(
    "function f(a) { return a ? 1 : 2; }\n",
    "class A { m() { if (a) b(); } }\n",
    "import 'x'; export const y = () => z && 1;\n",
    "// TODO\n",
    "\n",
    "const broken;\n",
    "const g = () => {\n\n\n};\n",
  ),
  { maxLength: 8 },
);
const measured = fc
  .tuple(fc.constantFrom("ts", "js", "md", "zig"), statements, fc.boolean())
  .map(([extension, parts, binary]) => ({ extension, text: `${parts.join("")}${binary ? "\0" : ""}` }));
const files: fc.Arbitrary<FileMetrics[]> = fc.array(measured, { maxLength: 20 }).map((entries) =>
  entries.map(({ extension, text }, index): FileMetrics => {
    const path = `f${index}.${extension}`;
    if (index % 7 === 6) return { path, bytes: -1, language: "Other", kind: "unreadable", reason: "ENOENT" };
    return analyseFile({ path, content: Buffer.from(text) }, { maxFileBytes: 150 });
  }),
);

test("totals are the sums over the files", () => {
  fc.assert(
    fc.property(files, (all) => {
      const totals = totalsOf(all);
      const sum = (measure: (file: FileMetrics) => number): number => all.reduce((n, file) => n + measure(file), 0);
      const { files: count, parsed, text, binary, skipped, unreadable } = totals;
      expect(count).toBe(all.length);
      expect(parsed + text + binary + skipped + unreadable).toBe(all.length);
      expect(totals.bytes).toBe(sum((file) => Math.max(0, file.bytes)));
      expect(totals.lines).toBe(sum((file) => ("lines" in file ? file.lines.total : 0)));
      expect(totals.searchedLines).toBe(sum((file) => ("todos" in file ? file.lines.total : 0)));
      expect(totals.todos).toBe(sum((file) => ("todos" in file ? file.todos : 0)));
      expect(totals.findings).toBe(sum((file) => ("findingCount" in file ? (file.findingCount ?? 0) : 0)));
      expect(totals.blank).toBe(sum((file) => ("todos" in file ? file.lines.blank : 0)));
      expect(totals.code).toBe(sum((file) => (file.kind === "parsed" ? file.lines.code : 0)));
      expect(totals.comment).toBe(sum((file) => (file.kind === "parsed" ? file.lines.comment : 0)));
      expect(totals.functions).toBe(sum((file) => (file.kind === "parsed" ? file.functions.count : 0)));
      expect(totals.classes).toBe(sum((file) => (file.kind === "parsed" ? file.classes : 0)));
      expect(totals.imports).toBe(sum((file) => (file.kind === "parsed" ? file.imports.count : 0)));
      expect(totals.exports).toBe(sum((file) => (file.kind === "parsed" ? file.exports : 0)));
      expect(totals.complexity).toBe(sum((file) => (file.kind === "parsed" ? file.complexity : 0)));
      const languages = Object.values(totals.languages);
      expect(languages.reduce((n, language) => n + language.lines, 0)).toBe(totals.lines);
      expect(languages.reduce((n, language) => n + language.files, 0)).toBe(count - binary - unreadable);
    }),
  );
});

test("the order of the files does not matter", () => {
  const shuffled = files.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length })),
  );
  fc.assert(
    fc.property(shuffled, ([all, other]) => {
      expect(JSON.stringify(totalsOf(other))).toBe(JSON.stringify(totalsOf(all)));
    }),
  );
});

test("the longest functions and the most complex files are named with their places", () => {
  const all = [
    analyseFile({ path: "a.ts", content: Buffer.from("function a() {\n\n\n}\n") }),
    analyseFile({ path: "b.ts", content: Buffer.from("const b = (x) => x && x || x;\nconst c = () => {\n};\n") }),
    analyseFile({ path: "c.md", content: Buffer.from("function no() {}\n") }),
  ];
  const { longestFunctions, mostComplexFiles } = totalsOf(all);
  expect(longestFunctions).toEqual([
    { path: "a.ts", name: "a", line: 1, lines: 4, complexity: 1 },
    { path: "b.ts", name: "c", line: 2, lines: 2, complexity: 1 },
    { path: "b.ts", name: "b", line: 1, lines: 1, complexity: 3 },
  ]);
  expect(mostComplexFiles).toEqual([
    { path: "b.ts", complexity: 5, functions: 2, peak: { name: "b", line: 1, lines: 1, complexity: 3 } },
    { path: "a.ts", complexity: 2, functions: 1 },
  ]);
});
