// The input of a code-analysis task: every violation at once.
import { expect, test } from "vitest";
import { codeAnalysisTask } from "../../../services/worker/code-analysis/code-analysis-task.ts";
import { callCapability } from "../../support/handler-call.ts";

const task = codeAnalysisTask({ allowedRoots: [], processes: 1 });

/** The fields that are refused; what is accepted gets as far as the root, which is not allowed. */
async function refused(input: unknown): Promise<string[]> {
  const { failure = "" } = await callCapability(task, input);
  if (failure.startsWith("ROOT_NOT_ALLOWED: ")) return [];
  expect(failure).toMatch(/^INVALID_INPUT: invalid input: /);
  const lines = failure.replace("INVALID_INPUT: invalid input: ", "").split(/; (?!the fields)/);
  return lines.map((line) => /^([\w[\].]+): /.exec(line)?.[1] ?? "");
}

test("a root and some files are accepted as they are", async () => {
  expect(await refused({ root: "/src", files: ["a.ts", "b/c..ts", "..d/e"] })).toEqual([]);
});

test.for([1, 500])("%i files are accepted", async (count) => {
  const files = Array.from({ length: count }, (_, index) => `f${index}.ts`);
  expect(await refused({ root: "/", files })).toEqual([]);
});

test("security rules are accepted by their names", async () => {
  expect(await refused({ root: "/", files: ["a"], security: true, rules: ["no-eval", "weak-hash"] })).toEqual([]);
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
  ["rules without security", { root: "/", files: ["a"], rules: ["no-eval"] }, ["rules"]],
  ["a rule that there is not", { root: "/", files: ["a"], security: true, rules: ["no-evil"] }, ["rules[0]"]],
])("%s is refused, each wrong field by name", async ([, value, fields]) => {
  expect(await refused(value)).toEqual(fields);
});
