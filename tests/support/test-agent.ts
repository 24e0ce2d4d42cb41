// An agent for tests of faults: its handlers write down every start and end, so that executions can be counted from outside.

import { appendFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { clientTracing } from "../../lib/rpc/interceptors/tracing.ts";
import { createLogger } from "../../lib/telemetry/logging.ts";
import { openTracing } from "../../lib/telemetry/tracing.ts";
import {
  AgentError,
  type AgentTask,
  capability,
  defineAgent,
  retryAfter,
  runAgent,
  snooze,
  type TaskContext,
} from "../../sdk/agent/index.ts";
import { executions } from "./executions.ts";

const dir = process.env["TEST_DIR"] ?? ".";
const agentId = process.env["MYCEL_AGENT_ID"] ?? "test-agent";

function record(what: string, task: AgentTask, ctx: TaskContext): void {
  const line = { what, taskId: task.taskId, attempt: ctx.attempt, agentId, pid: process.pid };
  appendFileSync(join(dir, "executions.jsonl"), `${JSON.stringify(line)}\n`);
}

interface Steps {
  /** How long to work, in milliseconds. */
  readonly workMs?: number;
  /** How many outputs to stream while working. */
  readonly outputs?: number;
  /** A file that ends the work when it exists. */
  readonly until?: string;
}

const work = capability({
  parse: (value) => (value ?? {}) as Steps,
  run: async (task, ctx) => {
    record("start", task, ctx);
    const { workMs = 0, outputs = 0, until } = task.input;
    for (let i = 1; i <= outputs; i += 1) {
      await ctx.output({ i, by: agentId });
      await sleep(workMs / outputs);
    }
    if (outputs === 0 && workMs > 0) await sleep(workMs);
    while (until !== undefined && !existsSync(join(dir, until))) {
      ctx.signal.throwIfAborted();
      await sleep(20);
    }
    record("end", task, ctx);
    return { by: agentId, attempt: ctx.attempt };
  },
});

const definition = defineAgent({
  name: "test",
  concurrency: Number(process.env["MYCEL_CONCURRENCY"] ?? 4),
  capabilities: {
    work,
    // Blocks the event loop, as a handler with a long computation does.
    block: (task, ctx) => {
      record("start", task, ctx);
      const { blockMs } = task.input as { blockMs: number };
      const end = performance.now() + blockMs;
      while (performance.now() < end);
      record("end", task, ctx);
      return { by: agentId };
    },
    // Kills its agent, each time.
    poison: (task, ctx) => {
      record("start", task, ctx);
      if (!existsSync(join(dir, "antidote"))) process.kill(process.pid, "SIGKILL");
      return "cured";
    },
    // Waits for its signal and says why it came.
    patient: async (task, ctx) => {
      record("start", task, ctx);
      await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve, { once: true }));
      const { reason } = ctx.signal;
      appendFileSync(join(dir, `aborted-${task.taskId}`), reason instanceof AgentError ? reason.code : String(reason));
    },
    // Comes again twice without an attempt spent, then asks for one more attempt, then is done.
    moody: (task, ctx) => {
      record("start", task, ctx);
      const calls = executions(dir, task.taskId).length;
      if (calls <= 2) return snooze(50);
      return calls === 3 ? retryAfter(50, "once more") : { calls, attempt: ctx.attempt };
    },
    reverse: ({ input }) =>
      Array.from((input as { text: string }).text)
        .toReversed()
        .join(""),
    fail: (task, ctx) => {
      record("start", task, ctx);
      throw new Error(`no luck at attempt ${ctx.attempt}`);
    },
  },
});

const logger = createLogger({ name: "test-agent", level: process.env["MYCEL_LOG_LEVEL"] });
await using _tracing = await openTracing({ serviceName: "test-agent", env: process.env });
const agent = await runAgent(definition, {
  urls: (process.env["MYCEL_URL"] ?? "").split(","),
  agentId,
  logger,
  interceptors: [clientTracing()],
  drainGraceMs: Number(process.env["TEST_DRAIN_MS"] ?? 500),
  ...(process.env["MYCEL_API_KEY"] === undefined ? {} : { apiKey: process.env["MYCEL_API_KEY"] }),
  ...(process.env["TEST_LAZY_MS"] === undefined ? {} : { lazyRunningMs: Number(process.env["TEST_LAZY_MS"]) }),
});
logger.info({ agent_id: agent.agentId }, "ready");
await agent.done;
process.exit(0);
