// The bounds of the requests with a filter of tasks, and what they ask for once checked. Used by whoever is asked and again by whoever answers.

import type {
  CountTasksRequest,
  ListDeadLettersRequest,
  ListTasksRequest,
  TaskFilter,
  WatchTasksRequest,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { stateFromWire } from "../../../lib/wire/state-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import { decodePageToken, type PagePlace, type PageQuestion } from "./page-token.ts";

/** A page that is asked for. */
export interface PageQuery {
  readonly question: PageQuestion;
  readonly pageSize: number;
  readonly after: PagePlace | undefined;
}

const DEFAULT_PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 1_000;
const MAX_STATES = 16;
const MAX_TYPES = 64;
const MAX_FILTER_LABELS = 8;

/** Checks a request for a list of tasks. Throws INVALID_REQUEST. */
export function checkListTasks(tenant: string, request: ListTasksRequest, scope: TaskScope | undefined): PageQuery {
  const v = new Violations();
  checkFilter(v, request.filter);
  return page(v, { list: "tasks", tenant, filter: request.filter, scope }, request);
}

/** Checks a request for a list of dead letters. Throws INVALID_REQUEST. */
export function checkListDeadLetters(
  tenant: string,
  request: ListDeadLettersRequest,
  scope: TaskScope | undefined,
): PageQuery {
  const v = new Violations();
  checkFilter(v, request.filter);
  const others = request.filter?.states.filter((state) => state !== TaskState.FAILED && state !== TaskState.TIMED_OUT);
  if (others !== undefined && others.length > 0) v.add("filter.states", "may name FAILED and TIMED_OUT only");
  const list = request.includeRedriven ? "dead_letters_all" : "dead_letters";
  return page(v, { list, tenant, filter: request.filter, scope }, request);
}

/** Checks a request for counts. Throws INVALID_REQUEST. */
export function checkCountTasks(request: CountTasksRequest): void {
  const v = new Violations();
  checkFilter(v, request.filter);
  v.throwIfAny();
}

/** Checks a request to watch tasks. Throws INVALID_REQUEST. */
export function checkWatchTasks(request: WatchTasksRequest): void {
  const v = new Violations();
  checkFilter(v, request.filter);
  v.throwIfAny();
}

function page(
  v: Violations,
  question: PageQuestion,
  request: { readonly pageSize: number; readonly pageToken: string },
): PageQuery {
  const { pageSize, pageToken } = request;
  if (pageSize < 0) v.add("page_size", `must be from 0 to ${MAX_PAGE_SIZE}, is ${pageSize}`);
  const after = pageToken === "" ? undefined : decodePageToken(question, pageToken);
  if (pageToken !== "" && after === undefined) v.add("page_token", "is no page token of a list with this filter");
  v.throwIfAny();
  return { question, pageSize: pageSize === 0 ? DEFAULT_PAGE_SIZE : Math.min(pageSize, MAX_PAGE_SIZE), after };
}

function checkFilter(v: Violations, filter: TaskFilter | undefined): void {
  if (filter === undefined) return;
  v.count("filter.states", filter.states.length, 0, MAX_STATES);
  for (const [i, state] of filter.states.slice(0, MAX_STATES).entries()) {
    if (stateFromWire(state) === undefined) v.add(`filter.states[${i}]`, `${state} is not a state of a task`);
  }
  v.count("filter.types", filter.types.length, 0, MAX_TYPES);
  for (const [i, type] of filter.types.slice(0, MAX_TYPES).entries()) v.name(`filter.types[${i}]`, type);
  v.optionalName("filter.agent_id", filter.agentId);
  v.labels("filter.labels", filter.labels, MAX_FILTER_LABELS);
  v.timestamp("filter.create_time_from", filter.createTimeFrom);
  v.timestamp("filter.create_time_until", filter.createTimeUntil);
  v.optionalName("filter.queue", filter.queue);
}
