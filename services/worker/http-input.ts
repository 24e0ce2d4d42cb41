// What is wrong with the parts of an input that describe an HTTP request; shared by the tasks that make one. Pure.
import { OutboundError } from "../../lib/outbound/outbound-error.ts";
import { headerProblem, MAX_REQUEST_HEADER_LENGTH, MAX_REQUEST_HEADERS } from "../../lib/outbound/request-headers.ts";
import { readUrl } from "../../lib/outbound/target.ts";
import type { InputViolations } from "./input-violations.ts";

/** Most statuses that an input may list. */
const MAX_STATUSES = 64;

/** A URL that may be asked for. Whether its address may be reached is seen when it is. */
export function checkUrl(violations: InputViolations, field: string, url: string): void {
  try {
    readUrl(url);
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    violations.add(field, error.message);
  }
}

/** Headers that a user may set. */
export function checkHeaders(
  violations: InputViolations,
  field: string,
  headers: Readonly<Record<string, string>>,
): void {
  const entries = Object.entries(headers);
  if (entries.length > MAX_REQUEST_HEADERS) {
    violations.add(field, `must have at most ${MAX_REQUEST_HEADERS} entries, has ${entries.length}`);
    return;
  }
  const length = entries.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (length > MAX_REQUEST_HEADER_LENGTH) {
    violations.add(field, `must have at most ${MAX_REQUEST_HEADER_LENGTH} characters, has ${length}`);
  }
  const names = new Set<string>();
  for (const [name, value] of entries) {
    const problem = names.has(name.toLowerCase()) ? "is given twice" : headerProblem(name, value);
    if (problem !== undefined) violations.add(`${field}.${JSON.stringify(name.slice(0, 80)).slice(1, -1)}`, problem);
    names.add(name.toLowerCase());
  }
}

/** A list of statuses of responses. */
export function checkStatuses(violations: InputViolations, field: string, statuses: readonly number[]): void {
  violations.count(field, statuses, 0, MAX_STATUSES);
  for (const [index, status] of statuses.slice(0, MAX_STATUSES).entries()) {
    violations.wholeNumber(`${field}[${index}]`, status, 100, 599);
  }
}
