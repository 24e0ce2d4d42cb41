// Runs one row of the matrix: a mesh under load, its faults one after the other, and the judgement over everything that was seen.
import { openNats } from "../../lib/nats/connection.ts";
import { pause } from "../../lib/time/pause.ts";
import { OUTPUT_STREAM, TASKS_STREAM } from "../../lib/wire/subjects.ts";
import { check, formatViolation, type Verdict } from "./checker/check.ts";
import { counterexample } from "./checker/counterexample.ts";
import { gather } from "./checker/evidence.ts";
import { type FinalLog, readFinalLog } from "./final-log.ts";
import { type FaultMark, monotonicMs, readHistory } from "./history.ts";
import { openFaultMesh, type FaultMesh } from "./mesh/fault-mesh.ts";
import { randomFrom } from "./random.ts";
import { overcome } from "./recovery.ts";
import { replicaFaults } from "./replicas.ts";
import type { Row, Scene } from "./row.ts";
import type { CallError } from "./workload/journal.ts";
import { startPlainCaller } from "./workload/plain-caller.ts";
import { startWorkload, type Workload } from "./workload/workload.ts";
import { testTrust } from "../support/trust.ts";

/** How a row is run. */
export interface RunOptions {
  readonly seed: number;
  readonly faults: number;
  /** Accepted tasks that must end before, between and after the faults. */
  readonly tasksBetween: number;
  /** Whether what the row promises about times counts. On a machine that does other work beside, it cannot be judged. */
  readonly timed: boolean;
  /** Takes a line for people as the run goes on. */
  readonly say: (line: string) => void;
}

/** What a run of a row showed. */
export interface RowResult {
  readonly row: string;
  readonly seed: number;
  /** Tasks in the log. */
  readonly tasks: number;
  readonly executions: number;
  readonly faults: number;
  /** Each with its counterexample. */
  readonly violations: readonly string[];
  /** How long each fault took to be overcome, in milliseconds. */
  readonly recoveriesMs: readonly number[];
  /** Calls of the SDK that ended with an error. */
  readonly errors: readonly CallError[];
  /** Longest time in which calls without any retry failed, in milliseconds; undefined if it was not watched. */
  readonly outageMs: number | undefined;
  readonly verdict: Verdict;
}

const PROBE_LIMIT_MS = 60_000;
const PROGRESS_LIMIT_MS = 120_000;
const FINISH_LIMIT_MS = 120_000;
const RESUME_SLACK_MS = 5_000;
const ENDED: ReadonlySet<string> = new Set(["completed", "failed", "canceled", "timed_out"]);
const DEFAULT_LEASE_MS = 2_000;

/** Runs a row once. Rejects only if the mesh cannot be built. */
export async function runRow(row: Row, options: RunOptions): Promise<RowResult> {
  const { seed, say } = options;
  const random = randomFrom(seed);
  await using mesh = await openFaultMesh(row.mesh);
  const prefix = `${row.name}-${seed}`;
  const violations: string[] = [];
  const mix = row.mix === undefined ? {} : { mix: row.mix };
  await using workload = startWorkload({
    urls: mesh.urls,
    historyDir: mesh.historyDir,
    random: random.fork(),
    prefix,
    ...mix,
  });
  const { journal } = workload;
  const plain = row.outageMs === undefined ? undefined : startPlainCaller(mesh.urls, journal, prefix);
  let turn = 0;
  try {
    await journal.untilEnded(options.tasksBetween, PROGRESS_LIMIT_MS);
    for (; turn < options.faults; turn += 1) {
      const undo = await row.inject(sceneOf(mesh, workload, random, turn, say));
      await recovered(workload, `${prefix}-probe-${turn}`);
      mark(workload, "recovered");
      await undo?.();
      await journal.untilEnded(journal.ended + options.tasksBetween, PROGRESS_LIMIT_MS);
    }
  } catch (error) {
    violations.push(`after fault ${turn + 1}: ${error instanceof Error ? error.message : String(error)}`);
  }
  await plain?.[Symbol.asyncDispose]();
  const { open, errors } = await workload.finish(FINISH_LIMIT_MS);
  violations.push(...journal.complaints);

  const log = await settledLog(mesh);
  const history = readHistory(mesh.historyDir);
  const verdict = check(history, log);
  violations.push(...verdict.violations.map(formatViolation));
  if (mesh.brokers.length > 1) violations.push(...(await faultsOfReplicas(mesh)));
  const evidence = open.length === 0 ? undefined : gather(history, log);
  for (const taskId of open) {
    const task = evidence?.get(taskId);
    const lines = task === undefined ? [] : counterexample(task, []);
    violations.push([`${taskId}: nobody was told its end within ${FINISH_LIMIT_MS} ms`, ...lines].join("\n"));
  }

  const faults = overcome(history);
  const resumeLimitMs = (row.mesh.leaseMs ?? DEFAULT_LEASE_MS) + RESUME_SLACK_MS;
  for (const { detail, resumeMs = 0 } of faults) {
    if (options.timed && row.resumes === true && resumeMs > resumeLimitMs)
      violations.push(`${detail}: interrupted attempts started again only after ${Math.round(resumeMs)} ms`);
  }
  if (row.silent !== false) {
    for (const { call, code, message } of errors)
      violations.push(`a client saw an error of ${call}: ${code}: ${message}`);
  }
  if (options.timed && plain !== undefined && plain.longestOutageMs > (row.outageMs ?? Infinity)) {
    const reasons = [...plain.reasons].map(([reason, count]) => `${reason} ${count}`).join(", ");
    violations.push(`plain calls failed for ${Math.round(plain.longestOutageMs)} ms: ${reasons}`);
  }
  return {
    row: row.name,
    seed,
    tasks: log.tasks.size,
    executions: history.filter(({ what }) => what === "start").length,
    faults: faults.length,
    violations,
    recoveriesMs: faults.map(({ serviceMs, resumeMs }) => Math.max(serviceMs ?? Infinity, resumeMs ?? 0)),
    errors,
    outageMs: plain?.longestOutageMs,
    verdict,
  };
}

function sceneOf(
  mesh: FaultMesh,
  workload: Workload,
  random: ReturnType<typeof randomFrom>,
  turn: number,
  say: (line: string) => void,
): Scene {
  return {
    mesh,
    workload,
    random,
    turn,
    injected(detail) {
      say(detail);
      mark(workload, "injected", detail);
    },
    healed: () => mark(workload, "healed"),
    lasting: async (ms) => {
      await pause(ms);
    },
  };
}

function mark(workload: Workload, phase: FaultMark["phase"], detail?: string): void {
  const name = "fault";
  workload.journal.write({
    what: "fault",
    at: monotonicMs(),
    name,
    phase,
    ...(detail === undefined ? {} : { detail }),
  });
}

/** Resolves when each client got a new task through. */
async function recovered({ clients, journal }: Workload, prefix: string): Promise<void> {
  await Promise.all(
    clients.map(async (client, i) => {
      const task = { client: "probe", taskId: `${prefix}-${i}`, type: "quick", maximumAttempts: 8 };
      const startedAt = monotonicMs();
      const signal = AbortSignal.timeout(PROBE_LIMIT_MS);
      try {
        const retry = { maximumAttempts: 8, initialIntervalMs: 100 };
        const { taskId, type } = task;
        const { existing } = await client.submit(type, {}, { taskId, retry, priority: "critical", signal });
        journal.submitted(task, startedAt, existing);
        const { status } = await client.outcome(taskId, { signal });
        journal.told("outcome", startedAt, status);
      } catch (error) {
        throw new Error(`no new task went through within ${PROBE_LIMIT_MS} ms: ${String(error)}`, { cause: error });
      }
    }),
  );
}

/** The log when nothing moves any more: tasks whose submission was never answered come to their end, too. */
async function settledLog(mesh: FaultMesh): Promise<FinalLog> {
  await using connection = await openDisposable(mesh.natsUrl);
  const deadline = monotonicMs() + FINISH_LIMIT_MS;
  for (;;) {
    const log = await readFinalLog(connection.nats);
    const moving = [...log.tasks.values()].some(({ events }) => {
      const last = events.at(-1);
      return last === undefined || !ENDED.has(last.state);
    });
    if (!moving || monotonicMs() > deadline) return log;
    await pause(500);
  }
}

/** What is wrong with the replicas of what was written. */
async function faultsOfReplicas(mesh: FaultMesh): Promise<string[]> {
  await using connection = await openDisposable(mesh.natsUrl);
  return await replicaFaults(connection.nats, [TASKS_STREAM, OUTPUT_STREAM]);
}

async function openDisposable(
  servers: string,
): Promise<AsyncDisposable & { readonly nats: Awaited<ReturnType<typeof openNats>> }> {
  const nats = await openNats({
    servers: servers.split(","),
    credentialsFile: (await testTrust()).adminFile,
    name: "fault-check",
  });
  return { nats, [Symbol.asyncDispose]: () => nats.close() };
}
