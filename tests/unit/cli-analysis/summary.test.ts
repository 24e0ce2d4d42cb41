// The summary of all tasks: read from results, folded in any order, drawn for a terminal.
import { stripVTControlCharacters } from "node:util";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type ChunkTotals, NO_COUNTS, readChunkTotals } from "../../../cli/analysis/chunk-totals.ts";
import { addChunk, addFailedTask, type AnalysisSummary, emptySummary } from "../../../cli/analysis/summary.ts";
import { renderSummary } from "../../../cli/analysis/summary-view.ts";
import { outputOf } from "../../../services/worker/code-analysis/analysis-output.ts";
import { analyseFile } from "../../../services/worker/code-analysis/file-analysis.ts";

function aChunk(files: Record<string, string>): ChunkTotals {
  const metrics = Object.entries(files).map(([path, text]) => analyseFile({ path, content: Buffer.from(text) }));
  const totals = readChunkTotals(JSON.parse(JSON.stringify(outputOf(metrics))));
  if (totals === undefined) throw new Error("the output of an agent cannot be read");
  return totals;
}

const source = fc
  .array(fc.constantFrom("const f = (a) => a ? 1 : 2;\n", "function g() {\n\n}\n", "// TODO\n", "import 'x';\n"), {
    maxLength: 6,
  })
  .map((lines) => lines.join(""));
const results = fc.array(
  fc.record({
    agent: fc.constantFrom("a", "b", "__proto__"),
    chunk: fc.dictionary(fc.constantFrom("a.ts", "b.js", "c.md", "d.go", "e.ts"), source).map((files) => aChunk(files)),
  }),
  { maxLength: 12 },
);

function fold(all: readonly { agent: string; chunk: ChunkTotals }[]): AnalysisSummary {
  return all.reduce((summary, { agent, chunk }) => addChunk(summary, chunk, agent), emptySummary());
}

test("the order in which results come does not matter", () => {
  const shuffled = results.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length })),
  );
  const view = { elapsedMs: 1_000, columns: 120 };
  fc.assert(
    fc.property(shuffled, ([all, other]) => {
      expect(fold(other)).toEqual(fold(all));
      expect(renderSummary(fold(other), view)).toBe(renderSummary(fold(all), view));
    }),
  );
});

test("adding a chunk leaves the summary before it as it was", () => {
  const before = fold([{ agent: "a", chunk: aChunk({ "a.ts": "function f() {}\n" }) }]);
  const copy = structuredClone(before);
  addChunk(before, aChunk({ "b.ts": "function g() {}\n" }), "a");
  expect(before).toEqual(copy);
});

test("tasks of two agents add up", () => {
  const first = aChunk({ "a.ts": "const f = (a) => a && 1; // TODO\n", "b.md": "# B\n\n" });
  const second = aChunk({ "c.ts": "import 'x';\nfunction g() {\n  if (a || b) c();\n}\n" });
  const summary = addFailedTask(
    fold([first, second, second].map((chunk, index) => ({ agent: `a${index % 2}`, chunk }))),
  );
  expect(summary).toMatchObject({
    tasks: 3,
    failedTasks: 1,
    counts: { files: 4, lines: 11, functions: 3, imports: 2, todos: 1 },
  });
  expect([...summary.agents]).toEqual([
    ["a0", { tasks: 2, files: 3 }],
    ["a1", { tasks: 1, files: 1 }],
  ]);
  expect([...summary.languages]).toEqual([
    ["Markdown", { files: 1, lines: 2 }],
    ["TypeScript", { files: 3, lines: 9 }],
  ]);
  expect(summary.longestFunctions.map(({ path, lines }) => [path, lines])).toEqual([
    ["c.ts", 3],
    ["c.ts", 3],
    ["a.ts", 1],
  ]);
});

test.for<[string, unknown]>([
  ["nothing", undefined],
  ["text", "done"],
  ["another result", { message: "hi" }],
  ["no totals", { totals: [] }],
  ["a count that is missing", { totals: { ...NO_COUNTS, files: undefined } }],
  ["a count that is no number", { totals: { ...NO_COUNTS, files: "1" } }],
  ["a negative count", { totals: { ...NO_COUNTS, files: -1 } }],
  ["no languages", { totals: { ...NO_COUNTS, longestFunctions: [], mostComplexFiles: [] } }],
  ["a broken language", { totals: { ...NO_COUNTS, languages: { C: 1 }, longestFunctions: [], mostComplexFiles: [] } }],
  ["a broken function", { totals: { ...NO_COUNTS, languages: {}, longestFunctions: [{}], mostComplexFiles: [] } }],
  ["a broken file", { totals: { ...NO_COUNTS, languages: {}, longestFunctions: [], mostComplexFiles: [null] } }],
])("%s is not taken for a result", ([, output]) => {
  expect(readChunkTotals(output)).toBeUndefined();
});

test("the summary is drawn in full", () => {
  const files = { "src/a.ts": "const f = (a) => a && 1; // TODO\n", "b.md": "# B\n\n" };
  const summary = addFailedTask(fold([{ agent: "one", chunk: aChunk(files) }]));
  expect(renderSummary(summary, { elapsedMs: 500 })).toBe(`  2 files, 3 lines, 38 B in 500 ms
  1 task (2.00 a second) on 1 agent
  1 task failed: their files are not counted

  Code lines  Functions  Classes  Imports  Exports  TODO / 1,000 lines
           1          1        0        0        0                 333

  Language    Files  Lines  Share
  Markdown        1      2   67 % ■■■■■■■■
  TypeScript      1      1   33 % ■■■■

  Lines  Longest functions  Where
      1  f                  src/a.ts:1

  Complexity  Most complex files  Peak
           3  src/a.ts            2 in f

  Agent  Tasks  Files  Share
  one        1      2  100 % ■■■■■■■■■■■■
`);
});

test("the summary of nothing is drawn too", () => {
  expect(renderSummary(emptySummary(), { elapsedMs: 0 })).toContain(
    "0 files, 0 lines, 0 B in 0 ms\n  0 tasks on 0 agents",
  );
});

test.for([60, 80, 100, 120, 140])("no line is wider than a terminal of %i columns", (columns) => {
  const path = `${"folder/".repeat(30)}file.ts`;
  const text = `const o = { "${"name".repeat(20)}": (a) => {\n${"  if (a) b();\n".repeat(1_200)}} };\n`;
  const languages = Object.fromEntries(
    ["c", "go", "py", "rb", "java", "md", "css"].map((name) => [`x.${name}`, "a\n"]),
  );
  const agent = "agent".repeat(20);
  const summary = fold([{ agent, chunk: aChunk({ [path]: text, ...languages }) }]);
  for (const colour of [false, true]) {
    const lines = renderSummary(summary, { elapsedMs: 1, columns, colour }).split("\n");
    for (const line of lines) expect(stripVTControlCharacters(line).length).toBeLessThanOrEqual(columns);
  }
});

test("colour changes no character, and without it there is no escape sequence", () => {
  const summary = fold([{ agent: "one", chunk: aChunk({ "a.ts": "function f() {}\n" }) }]);
  const plain = renderSummary(summary, { elapsedMs: 1, columns: 120 });
  const coloured = renderSummary(summary, { elapsedMs: 1, columns: 120, colour: true });
  expect(plain).not.toContain("\u001B");
  expect(coloured).toContain("\u001B");
  expect(stripVTControlCharacters(coloured)).toBe(plain);
});

test("names from agents and file systems cannot send escape sequences to the terminal", () => {
  const evil = "\u001B]0;owned\u0007\r\n";
  const chunk = aChunk({ [`${evil}.ts`]: "function f() { if (a) b(); }\n" });
  const longestFunctions = [{ path: evil, name: evil, line: 1, lines: 1 }];
  const mostComplexFiles = [{ path: evil, complexity: 2, functions: 1, peak: { name: evil, line: 1, complexity: 2 } }];
  const languages = [{ name: evil, files: 1, lines: 1 }];
  const summary = fold([{ agent: evil, chunk: { ...chunk, longestFunctions, mostComplexFiles, languages } }]);
  const text = renderSummary(summary, { elapsedMs: 1, columns: 120 });
  // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
  expect(text).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/);
});

test("a tree of languages that nobody parses gets no noughts for its code", () => {
  const text = renderSummary(fold([{ agent: "a", chunk: aChunk({ "a.go": "package a // TODO\n" }) }]), {
    elapsedMs: 1_000,
  });
  expect(text).not.toContain("Code lines");
  expect(text).toContain(" TODO / 1,000 lines; code is parsed in JavaScript and TypeScript only");
});
