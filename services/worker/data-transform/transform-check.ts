// What is wrong with the input of a `data-transform` task, before any of it is done. Pure.
import type { DataTransformInput, TransformOperation } from "../../../gen/mycel/tasks/v1/data_transform_pb.ts";
import type { FieldViolation } from "../../../sdk/agent/index.ts";
import { InputViolations } from "../input-violations.ts";

const MAX_OPERATIONS = 32;
const MAX_EXPRESSION_LENGTH = 16_384;
const MAX_PATH_LENGTH = 256;
const MAX_FIELDS = 100;
const MAX_ITEMS = 1_000_000;
const MAX_FLATTEN_DEPTH = 100;

/** How long a transformation may take unless it says so, in milliseconds. */
export const DEFAULT_TIME_LIMIT_MS = 5_000;
const MAX_TIME_LIMIT_MS = 60_000;

/** What is wrong with an input. */
export function checkTransform(input: DataTransformInput): readonly FieldViolation[] {
  const violations = new InputViolations();
  if (input.data === undefined) violations.add("data", "must be given");
  if (input.operations.length === 0 && input.expression === "") {
    violations.add("operations", "must be given, or an expression");
  }
  violations.count("operations", input.operations, 0, MAX_OPERATIONS);
  for (const [i, { kind }] of input.operations.entries()) {
    if (kind.case === undefined) violations.add(`operations[${i}]`, `must name one of ${OPERATIONS.join(", ")}`);
    else checkOperation(`operations[${i}].${kind.case}`, kind, violations);
  }
  violations.maxLength("expression", input.expression, MAX_EXPRESSION_LENGTH);
  violations.wholeNumber("timeLimitMs", input.timeLimitMs, 1, MAX_TIME_LIMIT_MS);
  return violations.found;
}

type Kind = TransformOperation["kind"];

const OPERATIONS: readonly NonNullable<Kind["case"]>[] = [
  "sort",
  "reverse",
  "unique",
  "filter",
  "limit",
  "flatten",
  "group",
  "pick",
  "omit",
  "uppercase",
  "lowercase",
  "trim",
  "map",
  "count",
  "sum",
  "average",
  "min",
  "max",
];

function checkOperation(at: string, kind: Kind, violations: InputViolations): void {
  switch (kind.case) {
    case "sort":
      violations.maxLength(`${at}.by`, kind.value.by, MAX_PATH_LENGTH);
      if (!isLocale(kind.value.locale)) violations.add(`${at}.locale`, "must be a BCP 47 language tag such as de");
      break;
    case "filter":
      violations.maxLength(`${at}.path`, kind.value.path, MAX_PATH_LENGTH);
      if (kind.value.test.case === undefined) {
        violations.add(at, "must have one of equals, notEquals, above, atLeast, below, atMost, contains, exists");
      }
      break;
    case "limit":
      violations.required(`${at}.count`, kind.value.count);
      violations.wholeNumber(`${at}.count`, kind.value.count, 0, MAX_ITEMS);
      violations.wholeNumber(`${at}.offset`, kind.value.offset, 0, MAX_ITEMS);
      break;
    case "flatten":
      violations.wholeNumber(`${at}.depth`, kind.value.depth, 1, MAX_FLATTEN_DEPTH);
      break;
    case "pick":
    case "omit":
      violations.count(`${at}.fields`, kind.value.fields, 1, MAX_FIELDS);
      break;
    case "map":
      violations.required(`${at}.path`, kind.value.path);
      violations.maxLength(`${at}.path`, kind.value.path, MAX_PATH_LENGTH);
      break;
    case "uppercase":
    case "lowercase":
    case "trim":
      violations.maxLength(`${at}.path`, kind.value.path, MAX_PATH_LENGTH);
      break;
    case "group":
      violations.required(`${at}.by`, kind.value.by);
      violations.maxLength(`${at}.by`, kind.value.by, MAX_PATH_LENGTH);
      break;
    case "unique":
    case "sum":
    case "average":
    case "min":
    case "max":
      violations.maxLength(`${at}.by`, kind.value.by, MAX_PATH_LENGTH);
      break;
    default:
  }
}

function isLocale(tag: string): boolean {
  try {
    return tag === "" || Intl.getCanonicalLocales(tag).length === 1;
  } catch {
    return false;
  }
}
