// The input of a `code-analysis` task and its bounds; reports every violation at once. Pure: looks at no file.
import { isAbsolute } from "node:path";
import { type FieldViolation, type InputReading, isRecord, unknownFields } from "../field-violation.ts";

/** Most files of one task. */
const MAX_ANALYSIS_FILES = 500;
/** Longest path that is accepted, in UTF-16 code units. */
const MAX_ANALYSIS_PATH_LENGTH = 1_024;

/** What a `code-analysis` task asks for. */
export interface CodeAnalysisInput {
  /** Absolute folder on the agent's machine; must lie in one of the roots that the agent's operator allows. */
  readonly root: string;
  /** 1–500 distinct files by their paths relative to `root`. */
  readonly files: readonly string[];
}

/** Reads the JSON input of a `code-analysis` task. */
export function parseCodeAnalysisInput(value: unknown): InputReading<CodeAnalysisInput> {
  if (!isRecord(value)) {
    return { kind: "invalid", violations: [{ field: "", description: "must be an object with root and files" }] };
  }
  const { root, files } = value;
  const violations = unknownFields(value, ["root", "files"]);
  const rootViolation = describePath(root, (path) => (isAbsolute(path) ? undefined : "must be an absolute folder"));
  if (rootViolation !== undefined) violations.push({ field: "root", description: rootViolation });
  const paths: string[] = [];
  if (!Array.isArray(files) || files.length < 1 || files.length > MAX_ANALYSIS_FILES) {
    violations.push({ field: "files", description: `must be a list of 1 to ${MAX_ANALYSIS_FILES} relative paths` });
  } else violations.push(...readPaths(files, paths));
  if (violations.length > 0 || typeof root !== "string") return { kind: "invalid", violations };
  return { kind: "valid", input: { root, files: paths } };
}

function readPaths(files: readonly unknown[], paths: string[]): FieldViolation[] {
  const violations: FieldViolation[] = [];
  const seen = new Set<unknown>();
  for (const [index, file] of files.entries()) {
    const description = describePath(file, describeRelative) ?? (seen.has(file) ? "is listed twice" : undefined);
    seen.add(file);
    if (description !== undefined) violations.push({ field: `files[${index}]`, description });
    else if (typeof file === "string") paths.push(file);
  }
  return violations;
}

function describePath(path: unknown, further: (path: string) => string | undefined): string | undefined {
  if (typeof path !== "string") return "must be a string";
  if (path === "") return "must not be empty";
  if (path.length > MAX_ANALYSIS_PATH_LENGTH) {
    return `must have at most ${MAX_ANALYSIS_PATH_LENGTH} characters, has ${path.length}`;
  }
  return path.includes("\0") ? "must not contain a NUL character" : further(path);
}

function describeRelative(path: string): string | undefined {
  if (isAbsolute(path)) return "must be relative to root";
  return path.split("/").includes("..") ? "must not leave root by .." : undefined;
}
