// A filter as SQL: a few ranges of one index each, ordered alike, which together hold exactly the tasks that satisfy it.
//
// SQLite can't merge ranges in order, and one range over many states would be sorted as a whole: so every state (and type) is a range
// of its own, and the reader merges them row by row. Indexes are named, so that no statistics can choose a plan that scans.

import type { TaskFilter } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { TASK_STATES } from "../../../lib/core/task-state.ts";
import { stateToWire } from "../../../lib/wire/state-codec.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { anyOf, type Condition, is, labelled, optional } from "./conditions.ts";
import type { PagePlace } from "./page-token.ts";
import type { NarrowedFilter } from "./scope-sql.ts";

/** One range: what follows `FROM` and `WHERE`, and the order of its rows. */
export interface FilterRange {
  readonly from: string;
  readonly where: string;
  readonly orderBy: string;
  readonly parameters: readonly (string | number)[];
}

const ALL_STATES: readonly number[] = TASK_STATES.map(stateToWire);

/** The ranges of a filter, newest task first, after a place. */
export function taskRanges(
  tenant: string,
  { filter, conditions }: NarrowedFilter,
  after: PagePlace | undefined,
): FilterRange[] {
  const states = filter?.states.length ? [...new Set<number>(filter.states)] : ALL_STATES;
  const [label] = Object.entries(filter?.labels ?? {});
  if (label !== undefined) return [labelRange(tenant, { filter, conditions }, label, states, after)];
  const drivers = driversOf(filter);
  return drivers.flatMap(({ index, condition, rest }) =>
    states.map((state) =>
      range(`tasks t INDEXED BY ${index}`, "t", [
        is("t.tenant", tenant),
        ...condition,
        is("t.state", state),
        ...createdWithin("t", filter, after),
        ...rest,
        ...conditions,
      ]),
    ),
  );
}

/** The range of the dead letters that satisfy a filter, newest failure first, after a place. */
export function deadLetterRange(
  tenant: string,
  { filter, conditions: others }: NarrowedFilter,
  includeRedriven: boolean,
  after: PagePlace | undefined,
): FilterRange {
  const open = "NOT EXISTS (SELECT 1 FROM redrives r WHERE r.tenant = t.tenant AND r.task_id = t.task_id)";
  const conditions = [
    is("t.tenant", tenant),
    { sql: "t.dead = 1", parameters: [] },
    ...before("t.end_ms", "t.task_id", after),
    ...(includeRedriven ? [] : [{ sql: open, parameters: [] }]),
    ...anyOf("t.state", filter?.states ?? []),
    ...anyOf("t.type", filter?.types ?? []),
    ...optional("t.agent_id", filter?.agentId),
    ...optional("t.queue", filter?.queue),
    ...Object.entries(filter?.labels ?? {}).map(labelled),
    ...createdWithin("t", filter, undefined),
    ...others,
  ];
  return { ...range("tasks t INDEXED BY tasks_by_failure", "t", conditions), orderBy: "t.end_ms DESC, t.task_id DESC" };
}

/** In the queue that is called like the type, and in another one. SQLite must see it to take an index that holds only such tasks. */
const AT_HOME: Condition = { sql: "t.queue = t.type", parameters: [] };
const ELSEWHERE: Condition = { sql: "t.queue <> t.type", parameters: [] };

interface Driver {
  readonly index: string;
  readonly condition: readonly Condition[];
  readonly rest: readonly Condition[];
}

/** Which index leads to the tasks: the one of the condition that usually leaves the fewest. */
function driversOf(filter: TaskFilter | undefined): readonly Driver[] {
  const agent = optional("t.agent_id", filter?.agentId);
  const queue = optional("t.queue", filter?.queue);
  const types = [...new Set(filter?.types)];
  if (agent.length > 0) {
    // The index leaves out tasks without an agent, and SQLite must see that none of those is asked for.
    const condition = [...agent, { sql: "t.agent_id <> ''", parameters: [] }];
    return [{ index: "tasks_by_agent", condition, rest: [...queue, ...anyOf("t.type", types)] }];
  }
  if (types.length > 0) {
    return types.flatMap((type) => [
      { index: "tasks_at_home", condition: [is("t.type", type), AT_HOME], rest: queue },
      { index: "tasks_by_type", condition: [is("t.type", type), ELSEWHERE], rest: queue },
    ]);
  }
  if (filter !== undefined && queue.length > 0) {
    return [
      { index: "tasks_at_home", condition: [is("t.type", filter.queue), AT_HOME], rest: [] },
      { index: "tasks_by_queue", condition: [...queue, ELSEWHERE], rest: [] },
    ];
  }
  return [{ index: "tasks_by_state", condition: [], rest: [] }];
}

function labelRange(
  tenant: string,
  { filter, conditions }: NarrowedFilter,
  [key, value]: readonly [string, string],
  states: readonly number[],
  after: PagePlace | undefined,
): FilterRange {
  const others = Object.entries(filter?.labels ?? {}).filter(([other]) => other !== key);
  // CROSS JOIN keeps the order of the labels' index.
  const from = "labels l CROSS JOIN tasks t ON t.tenant = l.tenant AND t.task_id = l.task_id";
  return range(from, "l", [
    is("l.tenant", tenant),
    is("l.key", key),
    is("l.value", value),
    ...createdWithin("l", filter, after),
    ...anyOf("t.state", states),
    ...anyOf("t.type", filter?.types ?? []),
    ...optional("t.agent_id", filter?.agentId),
    ...optional("t.queue", filter?.queue),
    ...others.map(labelled),
    ...conditions,
  ]);
}

function range(from: string, table: string, conditions: readonly Condition[]): FilterRange {
  return {
    from,
    where: conditions.map(({ sql }) => sql).join(" AND "),
    orderBy: `${table}.create_ms DESC, ${table}.task_id DESC`,
    parameters: conditions.flatMap(({ parameters }) => parameters),
  };
}

function createdWithin(
  table: string,
  filter: TaskFilter | undefined,
  after: PagePlace | undefined,
): readonly Condition[] {
  const fromMs = wholeMs(filter?.createTimeFrom);
  const untilMs = wholeMs(filter?.createTimeUntil);
  return [
    ...(fromMs === undefined ? [] : [{ sql: `${table}.create_ms >= ?`, parameters: [fromMs] }]),
    // A place lies before the end of the time, so one upper bound is enough, and SQLite can use only one.
    ...(after !== undefined || untilMs === undefined ? [] : [{ sql: `${table}.create_ms < ?`, parameters: [untilMs] }]),
    ...before(`${table}.create_ms`, `${table}.task_id`, after),
  ];
}

function before(time: string, taskId: string, after: PagePlace | undefined): readonly Condition[] {
  return after === undefined ? [] : [{ sql: `(${time}, ${taskId}) < (?, ?)`, parameters: [after.ms, after.taskId] }];
}

/** Tasks have whole milliseconds: a bound between two of them means the later one, from below as from above. */
function wholeMs(time: TaskFilter["createTimeFrom"]): number | undefined {
  if (time === undefined) return undefined;
  return msFromTimestamp(time) + (time.nanos % 1_000_000 === 0 ? 0 : 1);
}
