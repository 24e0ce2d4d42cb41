// The mesh at a glance on a screen: what is there first, then what somebody should look after.
import { type Agent, AgentState } from "../../gen/mycel/v1/agent_pb.ts";
import type { DeadLetter } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { DurationMetrics, Metrics } from "../../gen/mycel/v1/metrics_service_pb.ts";
import type { Queue } from "../../gen/mycel/v1/queue_pb.ts";
import { msFromDuration, msFromTimestamp } from "../../lib/wire/time-codec.ts";
import type { TaskCount } from "../../sdk/client/index.ts";
import { formatDuration } from "../duration.ts";
import { type Column, renderFacts, renderTable } from "../output/table.ts";
import { dateOf } from "../output/task-view.ts";
import { cut, harmless, type Terminal } from "../output/terminal.ts";
import { type HealthOf, type MeshSurvey, OPEN_STATES, type RecentDeadLetters, type Told } from "./mesh-survey.ts";

/** How many queues, and dead letters, are shown by name. */
const MAX_SHOWN = 5;

/** A queue with so many waiting tasks is worth a line, and one whose oldest task waits so long. */
const DEEP = 100;
const LONG_MS = 60_000;

const SPACE = "\n\n";

/** The coordinators: one line each. */
export function coordinatorLines(terminal: Terminal, { endpoints }: HealthOf): string {
  const { green, red, yellow } = terminal.colors;
  return endpoints
    .map(({ url, status, detail }) => {
      const mark = status === "serving" ? green("✓") : status === "not_serving" ? yellow("–") : red("✗");
      // The reason names the place again.
      const why = harmless(detail).replace(`cannot connect to ${url}: `, "");
      const text = `${url}  ${status.replace("_", " ")}${why === "" ? "" : `: ${why}`}`;
      return `${mark} ${cut(text, terminal.columns - 2)}`;
    })
    .join("\n");
}

/** Everything else. */
export function meshView(terminal: Terminal, survey: MeshSurvey, nowMs: number): string {
  const { agents, tasks, queues, deadLetters, metrics } = survey;
  const width = terminal.columns - "dead letters".length - 2;
  const fact = <T>(told: Told<T>, text: (value: T) => string): string =>
    "error" in told ? terminal.colors.red(cut(harmless(told.error), width)) : text(told.value);
  const facts = renderFacts(terminal, [
    ["agents", fact(agents, (all) => agentsText(terminal, all))],
    ["open tasks", fact(tasks, tasksText)],
    ["queues", fact(queues, (all) => queuesText(terminal, all))],
    ["dead letters", fact(deadLetters, (recent) => deadLettersText(terminal, recent))],
    ["last 5 min", fact(metrics, (all) => metricsText(terminal, all))],
    ["durations", fact(metrics, (all) => durationText(all?.total?.run))],
    ["waits", fact(metrics, (all) => durationText(all?.total?.wait))],
  ]);
  const busy = "value" in queues ? noteworthy(queues.value, nowMs) : [];
  const dead = "value" in deadLetters ? deadLetters.value.letters : [];
  return [
    facts,
    ...(busy.length === 0 ? [] : [queueTable(terminal, busy)]),
    ...(dead.length === 0 ? [] : [deadLetterTable(terminal, dead)]),
  ].join(SPACE);
}

function agentsText({ colors }: Terminal, agents: readonly Agent[]): string {
  if (agents.length === 0) return colors.yellow("none registered: tasks will wait");
  const active = agents.filter(({ state }) => state === AgentState.ACTIVE);
  const draining = agents.length - active.length;
  const slots = sum(active, ({ concurrency }) => concurrency);
  const running = sum(agents, ({ running }) => running);
  const drains = draining === 0 ? "" : colors.yellow(`, ${number(draining)} draining`);
  return `${number(active.length)} active${drains}; ${number(running)} of ${number(slots)} slots busy`;
}

function tasksText({ total, byState }: TaskCount): string {
  if (total === 0) return "none";
  return OPEN_STATES.flatMap((state) => {
    const count = byState.get(state) ?? 0;
    return count === 0 ? [] : [`${number(count)} ${state.replace("_", " ")}`];
  }).join(", ");
}

function queuesText({ colors }: Terminal, queues: readonly Queue[]): string {
  if (queues.length === 0) return "none";
  const waiting = sum(queues, ({ waitingCount }) => Number(waitingCount));
  const paused = queues.filter(({ pause }) => pause !== undefined).length;
  const pauses = paused === 0 ? "" : `, ${colors.yellow(`${number(paused)} paused`)}`;
  return `${number(queues.length)}, with ${number(waiting)} waiting${pauses}`;
}

function deadLettersText({ colors }: Terminal, { letters, more }: RecentDeadLetters): string {
  if (letters.length === 0) return "none in the last hour";
  return colors.red(`${more ? "more than " : ""}${number(letters.length)} in the last hour`);
}

function metricsText({ colors }: Terminal, metrics: Metrics | undefined): string {
  const total = metrics?.total;
  if (total === undefined) return "";
  const rate = (perSecond: number): string => `${number(Math.round(perSecond * 10) / 10)}/s`;
  const success = total.successRate === undefined ? "" : `, ${percent(total.successRate)} successful`;
  const text = `${rate(total.submitRate)} submitted, ${rate(total.endRate)} ended${success}`;
  return total.successRate !== undefined && total.successRate < 0.95 ? colors.yellow(text) : text;
}

function durationText(duration: DurationMetrics | undefined): string {
  if (duration === undefined || duration.count === 0n) return "";
  const shown = [
    ["p50", duration.p50],
    ["p95", duration.p95],
    ["p99", duration.p99],
    ["max", duration.max],
  ] as const;
  return shown.map(([name, value]) => `${name} ${formatDuration(msFromDuration(value) ?? 0)}`).join(", ");
}

/** The queues that somebody should look after, the deepest first. */
function noteworthy(queues: readonly Queue[], nowMs: number): Queue[] {
  const isLong = ({ oldestCreateTime }: Queue): boolean =>
    nowMs - (msFromTimestamp(oldestCreateTime) ?? nowMs) >= LONG_MS;
  return queues
    .filter((queue) => queue.pause !== undefined || Number(queue.waitingCount) >= DEEP || isLong(queue))
    .sort((a, b) => Number(b.waitingCount - a.waitingCount));
}

function queueTable(terminal: Terminal, queues: readonly Queue[]): string {
  const { yellow } = terminal.colors;
  const columns: Column<Queue>[] = [
    { head: "QUEUE", value: ({ name }) => name, minimum: 10 },
    { head: "WAITING", value: ({ waitingCount }) => number(Number(waitingCount)).padStart(7) },
    { head: "AT WORK", value: ({ inFlightCount }) => number(Number(inFlightCount)).padStart(7) },
    { head: "OLDEST", value: ({ oldestCreateTime }) => terminal.time(dateOf(oldestCreateTime)) },
    { head: "AGENTS", value: ({ agentCount }) => number(agentCount).padStart(6) },
    { head: "", value: (queue) => queueNote(terminal, queue), minimum: 8, paint: (text) => yellow(text) },
  ];
  return withRest(terminal, columns, queues, "queues");
}

function queueNote(terminal: Terminal, { pause, agentCount }: Queue): string {
  if (pause === undefined) return agentCount === 0 ? "nobody pulls from it" : "";
  const until = pause.untilTime === undefined ? "" : `, goes on ${terminal.time(dateOf(pause.untilTime))}`;
  return `paused${until}${pause.reason === "" ? "" : `: ${pause.reason}`}`;
}

function deadLetterTable(terminal: Terminal, letters: readonly DeadLetter[]): string {
  const columns: Column<DeadLetter>[] = [
    { head: "DEAD LETTER", value: ({ task }) => task?.taskId ?? "" },
    { head: "TYPE", value: ({ task }) => task?.type ?? "", minimum: 8 },
    { head: "FAILED", value: ({ task }) => terminal.time(dateOf(task?.status?.endTime)) },
    {
      head: "WHY",
      value: ({ task }) => `${task?.status?.failure?.reason ?? ""}: ${task?.status?.failure?.message ?? ""}`,
      minimum: 12,
      paint: (text) => terminal.colors.red(text),
    },
  ];
  return withRest(terminal, columns, letters, "dead letters");
}

function withRest<Row>(terminal: Terminal, columns: Column<Row>[], rows: readonly Row[], name: string): string {
  const table = renderTable(terminal, columns, rows.slice(0, MAX_SHOWN));
  const rest = rows.length - MAX_SHOWN;
  return rest > 0 ? `${table}\n${terminal.colors.dim(`and ${number(rest)} ${name} more`)}` : table;
}

function sum<T>(all: readonly T[], of: (each: T) => number): number {
  return all.reduce((total, each) => total + of(each), 0);
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}

// 99.97 must not be told as a round hundred.
function percent(share: number): string {
  return `${Math.floor(share * 1_000) / 10} %`;
}
