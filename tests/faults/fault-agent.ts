// The agent that works while faults are injected: each handler writes down its own starts and ends, so that every execution can be
// counted from outside whatever the mesh says of it. What a handler does is decided by its input alone.
import { createHash, randomUUID } from "node:crypto";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { createLogger } from "../../lib/telemetry/logging.ts";
import {
  type AgentTask,
  type Capability,
  capability,
  defineAgent,
  runAgent,
  type TaskContext,
  TerminalError,
} from "../../sdk/agent/index.ts";
import { type Execution, HistoryWriter, monotonicMs } from "./history.ts";

/** What a handler returns: it names its own execution, so that a history can tell whose result was taken. */
export interface FaultResult {
  readonly execution: string;
  readonly agentId: string;
  readonly attempt: number;
  /** Chunks that it streamed. */
  readonly chunks: number;
}

/** One chunk that a handler streams. */
export interface FaultChunk {
  /** From 1. */
  readonly index: number;
  readonly execution: string;
  readonly filler?: string;
}

/** What `work` and `flaky` do with their time. */
interface WorkInput {
  readonly workMs?: number;
  /** Of `flaky`: this many attempts fail before one succeeds. */
  readonly failures?: number;
}

interface StreamInput {
  readonly chunks: number;
  readonly everyMs?: number;
  /** How much filler each chunk carries. */
  readonly bytes?: number;
}

interface FailInput {
  readonly retryable?: boolean;
}

interface PatientInput {
  readonly maxMs?: number;
}

interface BlockInput {
  readonly blockMs: number;
}

interface PoisonInput {
  /** How many attempts kill their agent. All of them if left out. */
  readonly attempts?: number;
}

/** What a handler has at hand. */
interface Run {
  readonly ctx: TaskContext;
  /** Streams one chunk. */
  readonly chunk: (bytes: number) => Promise<void>;
}

const agentId = process.env["MYCEL_AGENT_ID"] ?? "fault-agent";
const history = new HistoryWriter(process.env["FAULT_HISTORY_DIR"] ?? ".", agentId);
const drainGraceMs = Number(process.env["FAULT_DRAIN_MS"] ?? 500);
const requestTimeoutMs = Number(process.env["FAULT_REQUEST_TIMEOUT_MS"] ?? 3_000);

/** Makes a handler that writes down its start and its end around the work, and names itself in its result. */
function recorded<Input>(
  work: (input: Input, run: Run, task: AgentTask<Input>) => Promise<object | void> | object | void,
): Capability {
  return capability({
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- tasks come from the fault tests alone
    parse: (input) => (input ?? {}) as Input,
    run: async (task, ctx) => {
      const execution = randomUUID();
      const { attempt } = ctx;
      let chunks = 0;
      const write = (entry: Pick<Execution, "what" | "result" | "chunks">): void => {
        const { taskId, type } = task;
        history.write({ ...entry, at: monotonicMs(), execution, taskId, type, attempt, agentId, pid: process.pid });
      };
      write({ what: "start" });
      const run: Run = {
        ctx,
        chunk: async (bytes) => {
          chunks += 1;
          const chunk: FaultChunk = { index: chunks, execution };
          await ctx.output(bytes === 0 ? chunk : { ...chunk, filler: "x".repeat(bytes) });
        },
      };
      try {
        const extra = (await work(task.input, run, task)) ?? {};
        write({ what: "end", result: "completed", chunks });
        const result: FaultResult = { execution, agentId, attempt, chunks };
        return { ...result, ...extra };
      } catch (error) {
        write({ what: "end", result: ctx.signal.aborted ? "aborted" : "failed", chunks });
        throw error;
      }
    },
  });
}

/** Sleeps like a well-behaved handler: it ends at once when it is told to stop. */
async function pauseOf(ctx: TaskContext, ms: number): Promise<void> {
  try {
    if (ms > 0) await sleep(ms, undefined, { signal: ctx.signal });
  } catch {
    // What follows throws the reason itself.
  }
  ctx.signal.throwIfAborted();
}

const definition = defineAgent({
  name: "fault",
  concurrency: Number(process.env["MYCEL_CONCURRENCY"] ?? 16),
  capabilities: {
    // Ends at once.
    quick: recorded(() => undefined),
    // Works for a while.
    work: recorded<WorkInput>(async ({ workMs = 0 }, { ctx }) => await pauseOf(ctx, workMs)),
    // Streams numbered chunks.
    stream: recorded<StreamInput>(async ({ chunks, everyMs = 0, bytes = 0 }, { ctx, chunk }) => {
      for (let i = 0; i < chunks; i += 1) {
        await pauseOf(ctx, everyMs);
        await chunk(bytes);
      }
    }),
    // Fails some attempts, and then succeeds.
    flaky: recorded<WorkInput>(async ({ failures = 1, workMs = 0 }, { ctx }) => {
      await pauseOf(ctx, workMs);
      if (ctx.attempt <= failures) throw new Error(`no luck at attempt ${ctx.attempt}`);
    }),
    // Fails each time: for good, or so that another attempt may follow.
    fail: recorded<FailInput>(({ retryable = false }) => {
      throw retryable ? new Error("fails each time") : new TerminalError("fails for good");
    }),
    // Waits to be told to stop; completes if nobody does so in time.
    patient: recorded<PatientInput>(async ({ maxMs = 60_000 }, { ctx }) => await pauseOf(ctx, maxMs)),
    // Keeps the event loop busy, as a handler with a long computation does.
    block: recorded<BlockInput>(({ blockMs }, { ctx }) => {
      const end = performance.now() + blockMs;
      while (performance.now() < end);
      ctx.signal.throwIfAborted();
    }),
    // Kills its agent.
    poison: recorded<PoisonInput>(({ attempts = Number.POSITIVE_INFINITY }, { ctx }) => {
      if (ctx.attempt <= attempts) process.kill(process.pid, "SIGKILL");
    }),
    // Reads its whole input, however it came, and returns its SHA-256; the label `result-bytes` asks for a large result.
    digest: recorded<unknown>(async (_input, _run, task) => {
      const content = await task.read();
      const filler = "x".repeat(Number(task.labels["result-bytes"] ?? 0));
      const sha256 = createHash("sha256").update(content).digest("hex");
      return { sha256, bytes: content.length, ...(filler === "" ? {} : { filler }) };
    }),
  },
});

const logger = createLogger({ name: "fault-agent", level: process.env["MYCEL_LOG_LEVEL"] });
const agent = await runAgent(definition, {
  urls: (process.env["MYCEL_URL"] ?? "").split(","),
  agentId,
  logger,
  drainGraceMs,
  requestTimeoutMs,
});
logger.info({ agent_id: agent.agentId }, "ready");
await agent.done;
process.exit(0);
