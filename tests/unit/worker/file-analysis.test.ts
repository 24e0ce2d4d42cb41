// How a file is measured by its name and content: parsed, as text, as binary, by size alone.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { analyseFile } from "../../../services/worker/code-analysis/file-analysis.ts";
import { languageOf } from "../../../services/worker/code-analysis/language.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("other text gets neutral measures and claims nothing that was not parsed", () => {
  expect(analyseFile({ path: "a/b.py", content: bytes("def f():\n\n  pass # TODO\n") })).toEqual({
    path: "a/b.py",
    bytes: 24,
    language: "Python",
    kind: "text",
    lines: { total: 3, blank: 1, longest: 13 },
    todos: 1,
  });
});

test("a file with a NUL near its start is binary, whatever its name", () => {
  const content = new Uint8Array([0x47, 0, 0x10]);
  expect(analyseFile({ path: "video.ts", content })).toEqual({
    path: "video.ts",
    bytes: 3,
    language: "TypeScript",
    kind: "binary",
  });
});

test("a file above the limit is counted, not parsed", () => {
  const content = bytes("const a = 1;\n".repeat(10));
  expect(analyseFile({ path: "a.ts", content }, { maxFileBytes: 129 })).toEqual({
    path: "a.ts",
    bytes: 130,
    language: "TypeScript",
    kind: "skipped",
    lines: { total: 10 },
  });
  expect(analyseFile({ path: "a.ts", content }, { maxFileBytes: 130 }).kind).toBe("parsed");
});

test("the default limit is 2 MiB", () => {
  const limit = 2 * 1024 * 1024;
  expect(analyseFile({ path: "a.txt", content: new Uint8Array(limit).fill(97) }).kind).toBe("text");
  expect(analyseFile({ path: "a.txt", content: new Uint8Array(limit + 1).fill(97) }).kind).toBe("skipped");
});

test("a source that cannot be parsed is measured as text and says why", () => {
  const metrics = analyseFile({ path: "a.js", content: bytes("// TODO\nconst a = [\n") });
  expect(metrics).toMatchObject({ kind: "text", lines: { total: 2 }, todos: 1, findingCount: 1 });
  expect(metrics).not.toHaveProperty("functions");
  expect(metrics).not.toHaveProperty("complexity");
});

test("a byte order mark is no part of the text", () => {
  expect(analyseFile({ path: "a.txt", content: new Uint8Array([0xef, 0xbb, 0xbf, 97]) })).toMatchObject({
    bytes: 4,
    lines: { longest: 1 },
  });
});

test("lists are as long as asked, counts stay exact", () => {
  const content = bytes("const a = () => x && y;\n".repeat(9));
  const metrics = analyseFile({ path: "a.js", content }, { topFunctions: 2 });
  expect(metrics).toMatchObject({ functions: { count: 9, longest: [{ line: 1 }, { line: 2 }] } });
  expect(metrics.kind === "parsed" && metrics.functions.mostComplex).toHaveLength(2);
});

test("no content whatever makes it throw, and lines always add up", () => {
  const paths = fc.constantFrom("a.ts", "a.js", "a.tsx", "a.d.ts", "a.md", "a");
  const syntax = fc
    .array(
      fc.constantFrom(
        "{",
        "}",
        "(",
        ")",
        "`",
        "${",
        "/*",
        "*/",
        "//",
        "\n",
        "if",
        "a",
        "=>",
        "'",
        "<",
        ">",
        "é",
        "\r\n",
      ),
    )
    .map((parts) => bytes(parts.join(" ")));
  fc.assert(
    fc.property(paths, fc.oneof(fc.uint8Array({ maxLength: 200 }), syntax), (path, content) => {
      const metrics = analyseFile({ path, content });
      expect(metrics.bytes).toBe(content.byteLength);
      if (metrics.kind !== "parsed") return;
      const { total, code, comment, blank } = metrics.lines;
      expect(code + comment + blank).toBe(total);
      expect(Math.min(code, comment, blank)).toBeGreaterThanOrEqual(0);
      expect(metrics.complexity).toBeGreaterThanOrEqual(1 + metrics.functions.count);
    }),
    { numRuns: 500 },
  );
});

test.for<[string, string, string | undefined]>([
  ["a.ts", "TypeScript", "ts"],
  ["a.mts", "TypeScript", "ts"],
  ["a.cts", "TypeScript", "ts"],
  ["a.tsx", "TypeScript", "tsx"],
  ["a.d.ts", "TypeScript", "dts"],
  ["a.d.mts", "TypeScript", "dts"],
  ["a.d.cts", "TypeScript", "dts"],
  ["a.js", "JavaScript", "jsx"],
  ["a.mjs", "JavaScript", "jsx"],
  ["a.cjs", "JavaScript", "jsx"],
  ["a.jsx", "JavaScript", "jsx"],
  ["A.TS", "TypeScript", "ts"],
  ["d.ts", "TypeScript", "ts"],
  ["x/y.go", "Go", undefined],
  ["x/task.proto", "Protobuf", undefined],
  ["Dockerfile", "Dockerfile", undefined],
  ["LICENSE", "Plain text", undefined],
  ["x.ts/readme", "Plain text", undefined],
  [".ts", "Other", undefined],
  ["a.unheardof", "Other", undefined],
  ["noextension", "Other", undefined],
])("%s is %s", ([path, name, dialect]) => {
  expect(languageOf(path)).toEqual(dialect === undefined ? { name } : { name, dialect });
});
