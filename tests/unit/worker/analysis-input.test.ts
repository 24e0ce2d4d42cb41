// The input of a code-analysis task: every violation at once.
import { expect, test } from "vitest";
import { parseCodeAnalysisInput } from "../../../services/worker/code-analysis/analysis-input.ts";

test("a root and some files are accepted as they are", () => {
  const input = { root: "/src", files: ["a.ts", "b/c..ts", "..d/e"] };
  expect(parseCodeAnalysisInput(input)).toEqual({ kind: "valid", input });
});

test.for([1, 500])("%i files are accepted", (count) => {
  const files = Array.from({ length: count }, (_, index) => `f${index}.ts`);
  expect(parseCodeAnalysisInput({ root: "/", files }).kind).toBe("valid");
});

test.for<[string, unknown, string[]]>([
  ["no object", 7, [""]],
  ["nothing at all", {}, ["root", "files"]],
  ["a relative root", { root: "src", files: ["a"] }, ["root"]],
  ["an empty root", { root: "", files: ["a"] }, ["root"]],
  ["a NUL in the root", { root: "/a\0b", files: ["a"] }, ["root"]],
  ["no files", { root: "/", files: [] }, ["files"]],
  ["501 files", { root: "/", files: Array.from({ length: 501 }, (_, index) => `${index}`) }, ["files"]],
  ["an absolute file", { root: "/", files: ["a", "/etc/passwd"] }, ["files[1]"]],
  ["a file outside", { root: "/", files: ["../a", "b/../../c", ".."] }, ["files[0]", "files[1]", "files[2]"]],
  ["an empty file name", { root: "/", files: [""] }, ["files[0]"]],
  ["a file that is no text", { root: "/", files: [1, null] }, ["files[0]", "files[1]"]],
  ["a path above 1,024 characters", { root: "/", files: ["x".repeat(1_025)] }, ["files[0]"]],
  ["a file listed twice", { root: "/", files: ["a", "b", "a"] }, ["files[2]"]],
  ["all of it", { root: 1, files: ["../a", "b", "\0"], depth: 2 }, ["depth", "root", "files[0]", "files[2]"]],
])("%s is refused, each wrong field by name", ([, value, fields]) => {
  const reading = parseCodeAnalysisInput(value);
  expect(reading.kind === "invalid" && reading.violations.map(({ field }) => field)).toEqual(fields);
});
