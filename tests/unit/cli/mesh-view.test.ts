// The mesh at a glance fits its terminal, and shows what somebody should look after.
import { PassThrough } from "node:stream";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { AgentSchema, AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import { DeadLetterSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { MetricsSchema } from "../../../gen/mycel/v1/metrics_service_pb.ts";
import { QueueSchema } from "../../../gen/mycel/v1/queue_pb.ts";
import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { createTerminal } from "../../../cli/output/terminal.ts";
import { coordinatorLines, meshView } from "../../../cli/status/mesh-view.ts";
import type { MeshSurvey } from "../../../cli/status/mesh-survey.ts";

const NOW_MS = 10_000_000;
const EMPTY: MeshSurvey = {
  agents: { value: [] },
  tasks: { value: { total: 0, byState: new Map(), asOf: undefined } },
  queues: { value: [] },
  deadLetters: { value: { letters: [], more: false } },
  metrics: { value: undefined },
};

const terminal = (columns?: number) =>
  createTerminal(Object.assign(new PassThrough(), columns === undefined ? {} : { isTTY: true, columns }), true);
const view = (survey: Partial<MeshSurvey>, columns?: number): string[] =>
  meshView(terminal(columns), { ...EMPTY, ...survey }, NOW_MS).split("\n");
const queue = (init: MessageInitShape<typeof QueueSchema>) => create(QueueSchema, init);

test("an empty mesh says so in one line each", () => {
  expect(view({})).toEqual([
    "agents        none registered: tasks will wait",
    "open tasks    none",
    "queues        none",
    "dead letters  none in the last hour",
  ]);
});

test("agents are counted by state, and their load is added up", () => {
  const agents = [
    { agentId: "a", state: AgentState.ACTIVE, concurrency: 1_000, running: 3 },
    { agentId: "b", state: AgentState.ACTIVE, concurrency: 500, running: 1 },
    { agentId: "c", state: AgentState.DRAINING, concurrency: 8, running: 2 },
  ].map((agent) => create(AgentSchema, agent));
  expect(view({ agents: { value: agents } })[0]).toBe("agents        2 active, 1 draining; 6 of 1,500 slots busy");
});

test("rates, success and durations stand there where there are metrics", () => {
  const metrics = create(MetricsSchema, {
    total: {
      submitRate: 120.34,
      endRate: 119,
      successRate: 0.99987,
      run: {
        count: 5n,
        p50: durationFromMs(12),
        p95: durationFromMs(300),
        p99: durationFromMs(1_500),
        max: durationFromMs(61_000),
      },
    },
  });
  expect(view({ metrics: { value: metrics } }).slice(4)).toEqual([
    "last 5 min    120.3/s submitted, 119/s ended, 99.9 % successful",
    "durations     p50 12ms, p95 300ms, p99 1s, max 1m",
  ]);
});

describe("queues", () => {
  test("are shown by name when they are paused, deep, or have waited for long; the deepest first", () => {
    const queues = [
      queue({ name: "calm", waitingCount: 99n, agentCount: 1, oldestCreateTime: timestampFromMs(NOW_MS - 59_000) }),
      queue({ name: "deep", waitingCount: 1_234n, inFlightCount: 8n, agentCount: 2 }),
      queue({ name: "late", waitingCount: 1n, oldestCreateTime: timestampFromMs(NOW_MS - 61_000) }),
      queue({ name: "held", waitingCount: 5n, agentCount: 1, pause: { reason: "deploy" } }),
    ];
    const lines = view({ queues: { value: queues } });
    expect(lines[2]).toBe("queues        4, with 1,339 waiting, 1 paused");
    expect(lines.slice(5)).toEqual([
      expect.stringMatching(/^QUEUE +WAITING +AT WORK +OLDEST +AGENTS$/),
      expect.stringMatching(/^deep +1,234 +8 +2$/),
      expect.stringMatching(/^held +5 +0 +1 +paused: deploy$/),
      expect.stringMatching(/^late +1 +0 +\S+Z +0 +nobody pulls from it$/),
    ]);
  });

  test("that are too many are counted", () => {
    const queues = Array.from({ length: 8 }, (_, i) => queue({ name: `q${i}`, waitingCount: 200n }));
    expect(view({ queues: { value: queues } }).at(-1)).toBe("and 3 queues more");
  });
});

test("dead letters are counted, and the newest are named with their reasons", () => {
  const letters = Array.from({ length: 7 }, (_, i) =>
    create(DeadLetterSchema, {
      task: { taskId: `t-${i}`, type: "echo", status: { failure: { reason: "BAD", message: `no ${i}\n\u001b[2J` } } },
    }),
  );
  const lines = view({ deadLetters: { value: { letters, more: true } } });
  expect(lines[3]).toBe("dead letters  more than 7 in the last hour");
  expect(lines.slice(6, 7)).toEqual([expect.stringMatching(/^t-0 +echo +BAD: no 0$/)]);
  expect(lines.at(-1)).toBe("and 2 dead letters more");
});

test("a part that does not answer says why, and hides nothing else", () => {
  const lines = view({ tasks: { error: "the index can't be reached now" } });
  expect(lines[1]).toBe("open tasks    the index can't be reached now");
  expect(lines).toHaveLength(4);
});

test.for([80, 200])("no line is longer than a terminal of %i columns", (columns) => {
  const long = "x".repeat(300);
  const lines = view(
    {
      tasks: { error: long },
      queues: { value: [queue({ name: "n".repeat(64), waitingCount: 500n, pause: { reason: long } })] },
      deadLetters: {
        value: {
          letters: [
            create(DeadLetterSchema, { task: { taskId: "t", type: long, status: { failure: { reason: long } } } }),
          ],
          more: false,
        },
      },
    },
    columns,
  );
  const health = { url: "http://mesh", status: "unreachable", detail: long, breaker: undefined } as const;
  lines.push(...coordinatorLines(terminal(columns), { healthy: false, endpoints: [health] }).split("\n"));
  expect(lines.filter((line) => line.length > columns)).toEqual([]);
});

test("a coordinator that cannot be reached is named once", () => {
  const url = "http://127.0.0.1:1";
  const detail = `cannot connect to ${url}: connection refused`;
  const lines = coordinatorLines(terminal(), {
    healthy: true,
    endpoints: [
      { url: "http://a", status: "serving", detail: "", breaker: undefined },
      { url, status: "unreachable", detail, breaker: undefined },
    ],
  });
  expect(lines).toBe(`✓ http://a  serving\n✗ ${url}  unreachable: connection refused`);
});
