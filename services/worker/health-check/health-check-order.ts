// The input of a `health-check` task: what is wrong with it, and what it comes to with its defaults. Pure.
import type { MessageShape } from "@bufbuild/protobuf";
import type { HealthCheckInputSchema, HealthExpectationsSchema } from "../../../gen/mycel/tasks/v1/health_check_pb.ts";
import { OutboundError } from "../../../lib/outbound/outbound-error.ts";
import { MAX_REDIRECTS } from "../../../lib/outbound/outbound.ts";
import type { FieldViolation } from "../../../sdk/agent/index.ts";
import { checkHeaders, checkStatuses } from "../http-input.ts";
import { InputViolations } from "../input-violations.ts";
import { type CheckTarget, readCheckTarget } from "./check-target.ts";

const METHODS: readonly string[] = ["GET", "HEAD", "OPTIONS"];
/** Most checks of one task. */
const MAX_CHECKS = 100_000;
/** Shortest and longest time from check to check. */
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 3_600_000;
/** Longest time of one check. */
const MAX_CHECK_MS = 60_000;
const MAX_BODY_TEXT_LENGTH = 1_024;
const MAX_CERTIFICATE_DAYS = 3_650;
const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_INTERVAL_MS = 10_000;
const DEFAULT_REDIRECTS = 5;

type HealthCheckInput = MessageShape<typeof HealthCheckInputSchema>;
type HealthExpectations = MessageShape<typeof HealthExpectationsSchema>;

/** The input of a `health-check` task, with its defaults. */
export interface HealthCheckOrder {
  readonly target: CheckTarget;
  /** Of an http target. */
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly maxRedirects: number;
  /** Infinity for checks without end. */
  readonly checks: number;
  readonly intervalMs: number;
  readonly expect: HealthExpectations | undefined;
}

/** What is wrong with the input of a `health-check` task. */
export function checkHealthCheck(input: HealthCheckInput): readonly FieldViolation[] {
  const violations = new InputViolations();
  const target = violations.required("target", input.target) ? checkTarget(violations, input.target) : undefined;
  violations.oneOf("method", input.method === "" ? undefined : input.method, METHODS);
  checkHeaders(violations, "headers", input.headers);
  violations.wholeNumber("timeoutMs", input.timeoutMs, 1, MAX_CHECK_MS);
  violations.wholeNumber("maxRedirects", input.maxRedirects, 0, MAX_REDIRECTS);
  violations.wholeNumber("checks", input.checks, 0, MAX_CHECKS);
  violations.wholeNumber("intervalMs", input.intervalMs, MIN_INTERVAL_MS, MAX_INTERVAL_MS);
  checkStatuses(violations, "expect.statuses", input.expect?.statuses ?? []);
  violations.maxLength("expect.bodyContains", input.expect?.bodyContains, MAX_BODY_TEXT_LENGTH);
  violations.wholeNumber("expect.maxLatencyMs", input.expect?.maxLatencyMs, 1, MAX_CHECK_MS);
  violations.wholeNumber("expect.minCertificateDays", input.expect?.minCertificateDays, 0, MAX_CERTIFICATE_DAYS);
  if (target !== undefined) checkFit(violations, input, target);
  return violations.found;
}

/** Fills in the defaults of an input that was checked. */
export function healthCheckOrder(input: HealthCheckInput): HealthCheckOrder {
  return {
    target: readCheckTarget(input.target),
    method: input.method === "" ? "GET" : input.method,
    headers: input.headers,
    timeoutMs: input.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    maxRedirects: input.maxRedirects ?? DEFAULT_REDIRECTS,
    checks: input.checks === 0 ? Infinity : (input.checks ?? 1),
    intervalMs: input.intervalMs ?? DEFAULT_INTERVAL_MS,
    expect: input.expect,
  };
}

function checkTarget(violations: InputViolations, text: string): CheckTarget | undefined {
  try {
    return readCheckTarget(text);
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    violations.add("target", error.message);
    return undefined;
  }
}

/** An expectation that the target cannot meet or miss would be ignored silently. */
function checkFit(violations: InputViolations, input: HealthCheckInput, target: CheckTarget): void {
  const { expect } = input;
  if (target.kind === "tcp") {
    const given: readonly [string, boolean][] = [
      ["method", input.method !== ""],
      ["headers", Object.keys(input.headers).length > 0],
      ["maxRedirects", input.maxRedirects !== undefined],
      ["expect.statuses", (expect?.statuses.length ?? 0) > 0],
      ["expect.bodyContains", (expect?.bodyContains ?? "") !== ""],
    ];
    for (const [field, isGiven] of given) {
      if (isGiven) violations.add(field, "must be left out: the target is tcp");
    }
  }
  if (expect?.minCertificateDays !== undefined && !(target.kind === "http" && target.secure)) {
    violations.add("expect.minCertificateDays", "must be left out: the target is not https");
  }
  if (input.method === "HEAD" && (expect?.bodyContains ?? "") !== "") {
    violations.add("expect.bodyContains", "must be left out: the response to HEAD has no body");
  }
}
