// Answers requests for metrics from the tallies: adds up those of a window, by type and by agent.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { DatabaseSync } from "node:sqlite";
import {
  type DurationMetricsSchema,
  type GetMetricsRequest,
  type GetMetricsResponse,
  GetMetricsResponseSchema,
  type TaskMetricsSchema,
  type WatchMetricsRequest,
} from "../../../gen/mycel/v1/metrics_service_pb.ts";
import { coversType, type TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { DurationHistogram } from "../../../lib/core/duration-histogram.ts";
import { isTerminal, type TaskState } from "../../../lib/core/task-state.ts";
import { stateFromWire, stateToWire } from "../../../lib/wire/state-codec.ts";
import { durationFromMs, msFromDuration, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import type { MetricTable } from "./metric-table.ts";
import { RESOLUTIONS, Tally } from "./metric-tally.ts";
import type { AnswerOptions } from "./task-queries.ts";

type StateCountsOf = Map<TaskState, number>;
type TaskMetricsInit = MessageInitShape<typeof TaskMetricsSchema>;

const DEFAULT_WINDOW_MS = 300_000;
const MIN_WINDOW_MS = 10_000;
const MAX_WINDOW_MS = 86_400_000;
const MAX_TYPES = 100;
/** How many types and agents an answer has at most. */
const MAX_GROUPS = 1_000;

const DEFAULT_INTERVAL_MS = 2_000;
const MIN_INTERVAL_MS = 1_000;
const MAX_INTERVAL_MS = 60_000;

/** Checks a request for metrics. Throws INVALID_REQUEST. */
export function checkGetMetrics(request: GetMetricsRequest): void {
  const v = new Violations();
  checkQuestion(v, request);
  v.throwIfAny();
}

/** Checks a request to watch metrics, and returns its interval in milliseconds. Throws INVALID_REQUEST. */
export function checkWatchMetrics(request: WatchMetricsRequest): number {
  const v = new Violations();
  checkQuestion(v, request);
  v.duration("interval", request.interval, MIN_INTERVAL_MS, MAX_INTERVAL_MS);
  v.throwIfAny();
  return msFromDuration(request.interval) ?? DEFAULT_INTERVAL_MS;
}

/** Where the figures come from. */
export interface MetricSource {
  readonly database: DatabaseSync;
  readonly metrics: MetricTable;
}

/** Answers a request for metrics as of a time. Throws INVALID_REQUEST. */
export function getMetrics(
  { database, metrics }: MetricSource,
  tenant: string,
  request: GetMetricsRequest,
  { asOfMs, scope }: AnswerOptions,
): GetMetricsResponse {
  checkGetMetrics(request);
  const { agentId } = request;
  const isAsked = typeFilter(request, scope);
  const windowMs = msFromDuration(request.window) ?? DEFAULT_WINDOW_MS;
  const { spanMs } = RESOLUTIONS.find(({ keptMs }) => windowMs <= keptMs) ?? RESOLUTIONS[1];
  const fromMs = Math.floor((asOfMs - windowMs) / spanMs) * spanMs;

  // Of a day, each type and agent has 1,440 rows: they are added up once, and then only their sums to whatever they are part of.
  const sums = new Map<string, { readonly type: string; readonly agent: string; readonly tally: Tally }>();
  for (const kept of metrics.read(tenant, spanMs, fromMs)) {
    const wanted = isAsked(kept.type) && (agentId === "" || agentId === kept.agentId);
    if (!wanted) continue;
    // Neither name has a dot.
    const name = `${kept.type}.${kept.agentId}`;
    let sum = sums.get(name);
    if (sum === undefined) {
      sum = { type: kept.type, agent: kept.agentId, tally: new Tally() };
      sums.set(name, sum);
    }
    sum.tally.add(kept.tally);
  }
  const total = new Tally();
  const byType = new Map<string, Tally>();
  const byAgent = new Map<string, Tally>();
  for (const { type, agent, tally } of sums.values()) {
    const record = tally.toRecord();
    total.add(record);
    at(byType, type).add(record);
    if (agent !== "") at(byAgent, agent).add(record);
  }

  // What is open is nobody's yet, so an agent has no part in it.
  const open = agentId === "" ? readOpen(database, tenant, isAsked) : new Map<string, StateCountsOf>();
  for (const type of open.keys()) at(byType, type);
  const seconds = (asOfMs - fromMs) / 1_000;
  const all: StateCountsOf = new Map();
  for (const counts of open.values()) {
    for (const [state, tasks] of counts) all.set(state, (all.get(state) ?? 0) + tasks);
  }
  return create(GetMetricsResponseSchema, {
    metrics: {
      asOfTime: timestampFromMs(asOfMs),
      startTime: timestampFromMs(fromMs),
      total: metricsOf(total, seconds, all),
      types: [...byType]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, MAX_GROUPS)
        .map(([type, tally]) => ({ type, metrics: metricsOf(tally, seconds, open.get(type)) })),
      agents: [...byAgent]
        .toSorted(([, a], [, b]) => endedIn(b) - endedIn(a))
        .slice(0, MAX_GROUPS)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([id, tally]) => ({ agentId: id, metrics: metricsOf(tally, seconds, undefined) })),
    },
  });
}

function checkQuestion(v: Violations, { window, types, agentId }: GetMetricsRequest | WatchMetricsRequest): void {
  v.duration("window", window, MIN_WINDOW_MS, MAX_WINDOW_MS);
  v.count("types", types.length, 0, MAX_TYPES);
  for (const [index, type] of types.entries()) v.name(`types[${index}]`, type);
  v.optionalName("agent_id", agentId);
}

/** Whether a type counts. Tallies know no labels: only of types all of whose tasks may be seen there is anything to tell. */
function typeFilter({ types }: GetMetricsRequest, scope: TaskScope | undefined): (type: string) => boolean {
  const asked = new Set(types);
  const isAsked = (type: string): boolean => asked.size === 0 || asked.has(type);
  if (scope === undefined) return isAsked;
  const known = new Map<string, boolean>();
  return (type) => {
    let answer = known.get(type);
    if (answer === undefined) known.set(type, (answer = isAsked(type) && coversType(scope, type)));
    return answer;
  };
}

function readOpen(
  database: DatabaseSync,
  tenant: string,
  isAsked: (type: string) => boolean,
): Map<string, StateCountsOf> {
  const open = new Map<string, StateCountsOf>();
  const sql = "SELECT type, state, sum(tasks) AS tasks FROM counts WHERE tenant = ? GROUP BY type, state";
  for (const values of database.prepare(sql).iterate(tenant)) {
    const [type, tasks] = [String(values["type"]), Number(values["tasks"])];
    const state = stateFromWire(Number(values["state"]));
    if (tasks <= 0 || state === undefined || isTerminal(state) || !isAsked(type)) continue;
    const counts: StateCountsOf = open.get(type) ?? new Map();
    counts.set(state, tasks);
    open.set(type, counts);
  }
  return open;
}

function at(tallies: Map<string, Tally>, name: string): Tally {
  let tally = tallies.get(name);
  if (tally === undefined) {
    tally = new Tally();
    tallies.set(name, tally);
  }
  return tally;
}

function endedIn({ ends }: Tally): number {
  return ends.completed + ends.failed + ends.canceled + ends.timed_out;
}

function metricsOf(tally: Tally, seconds: number, open: StateCountsOf | undefined): TaskMetricsInit {
  const { submitted, retries, ends, durations } = tally;
  const judged = ends.completed + ends.failed + ends.timed_out;
  const metrics: TaskMetricsInit = {
    submittedCount: BigInt(submitted),
    completedCount: BigInt(ends.completed),
    failedCount: BigInt(ends.failed),
    canceledCount: BigInt(ends.canceled),
    timedOutCount: BigInt(ends.timed_out),
    retryCount: BigInt(retries),
    submitRate: submitted / seconds,
    endRate: endedIn(tally) / seconds,
    wait: durationsOf(durations.wait),
    run: durationsOf(durations.run),
    total: durationsOf(durations.total),
    open: [...(open ?? [])].map(([state, tasks]) => ({ state: stateToWire(state), taskCount: BigInt(tasks) })),
  };
  if (judged > 0) metrics.successRate = ends.completed / judged;
  return metrics;
}

function durationsOf(histogram: DurationHistogram): MessageInitShape<typeof DurationMetricsSchema> {
  if (histogram.count === 0) return { count: 0n };
  return {
    count: BigInt(histogram.count),
    average: durationFromMs(histogram.averageMs),
    p50: durationFromMs(histogram.percentileMs(0.5)),
    p90: durationFromMs(histogram.percentileMs(0.9)),
    p95: durationFromMs(histogram.percentileMs(0.95)),
    p99: durationFromMs(histogram.percentileMs(0.99)),
    max: durationFromMs(histogram.maxMs),
  };
}
