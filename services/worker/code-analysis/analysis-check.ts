// What is wrong with the input of a `code-analysis` task. Pure: looks at no file.
import { isAbsolute } from "node:path";
import type { CodeAnalysisInput } from "../../../gen/mycel/tasks/v1/code_analysis_pb.ts";
import type { FieldViolation } from "../../../sdk/agent/index.ts";
import { InputViolations } from "../input-violations.ts";
import { SECURITY_RULES } from "./security/security-rules.ts";

/** Most files of one task. */
const MAX_ANALYSIS_FILES = 500;
/** Longest path that is accepted, in UTF-16 code units. */
const MAX_ANALYSIS_PATH_LENGTH = 1_024;

const RULE_NAMES = SECURITY_RULES.map(({ name }) => name);

/** What is wrong with an input. */
export function checkAnalysis({ root, files, security, rules }: CodeAnalysisInput): readonly FieldViolation[] {
  const violations = new InputViolations();
  const checkPath = (field: string, path: string, further: (path: string) => string | undefined): void => {
    const fault = pathFault(path) ?? further(path);
    if (fault !== undefined) violations.add(field, fault);
  };
  checkPath("root", root, (path) => (isAbsolute(path) ? undefined : "must be an absolute folder"));
  violations.count("files", files, 1, MAX_ANALYSIS_FILES);
  const seen = new Set<string>();
  // Of a list that is too long, one violation says enough.
  for (const [i, file] of files.slice(0, MAX_ANALYSIS_FILES).entries()) {
    checkPath(`files[${i}]`, file, (path) => relativeFault(path) ?? (seen.has(path) ? "is listed twice" : undefined));
    seen.add(file);
  }
  if (rules.length > 0 && !security) violations.add("rules", "is only for security: true");
  for (const [i, rule] of rules.entries()) violations.oneOf(`rules[${i}]`, rule, RULE_NAMES);
  return violations.found;
}

function pathFault(path: string): string | undefined {
  if (path === "") return "must not be empty";
  if (path.length > MAX_ANALYSIS_PATH_LENGTH) {
    return `must have at most ${MAX_ANALYSIS_PATH_LENGTH} characters, has ${path.length}`;
  }
  return path.includes("\0") ? "must not contain a NUL character" : undefined;
}

function relativeFault(path: string): string | undefined {
  if (isAbsolute(path)) return "must be relative to root";
  return path.split("/").includes("..") ? "must not leave root by .." : undefined;
}
