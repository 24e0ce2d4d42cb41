// The main job: a real source tree, measured by the fleet through the public API.

import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { MycelClient, StateEvent, TaskSubmission } from "../../sdk/client/index.ts";
import { readChunkTotals } from "../analysis/chunk-totals.ts";
import { chunkFiles, type FileChunk } from "../analysis/chunks.ts";
import { openProgress } from "../analysis/progress.ts";
import type { SourceFile } from "../analysis/source-listing.ts";
import { addChunk, addFailedTask, type AnalysisSummary, emptySummary } from "../analysis/summary.ts";

/** What the job needs. */
export interface AnalysisJobOptions {
  readonly client: MycelClient;
  readonly files: readonly SourceFile[];
  /** Where progress is shown. */
  readonly stream: NodeJS.WriteStream;
  readonly signal: AbortSignal;
}

/** What the job came to. */
export interface AnalysisJobResult {
  readonly summary: AnalysisSummary;
  readonly failed: number;
  /** From the submission to the last result. */
  readonly elapsedMs: number;
  /** The trace of the whole job; empty if nothing is traced. */
  readonly traceId: string;
}

/** How many tasks are watched at once; results of the others wait in the log. */
const MAX_WATCHES = 200;

/** Submits the files in one bulk call, and adds up the results as they come. */
export async function runAnalysisJob(options: AnalysisJobOptions): Promise<AnalysisJobResult> {
  const span = trace.getTracer("mycel").startSpan("analyse source tree", {
    kind: SpanKind.INTERNAL,
    attributes: { "mycel.files": options.files.length },
  });
  try {
    const traceId = span.isRecording() ? span.spanContext().traceId : "";
    return await context.with(trace.setSpan(context.active(), span), () => run(options, traceId));
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
  }
}

async function run({ client, files, stream, signal }: AnalysisJobOptions, traceId: string): Promise<AnalysisJobResult> {
  const chunks = chunkFiles(files);
  const startMs = performance.now();
  const submitted = await client.submitMany(chunks.map(submission), { signal });
  const taskIds = submitted.map((item) => {
    if (item.ok) return item.taskId;
    throw item.error;
  });
  using progress = openProgress({ total: taskIds.length, stream, isTTY: stream.isTTY });
  let summary = emptySummary();
  let done = 0;
  let failed = 0;
  const agents = new Set<string>();
  const elapsedMs = (): number => performance.now() - startMs;
  const take = (event: StateEvent): void => {
    const totals = event.state === "completed" ? readChunkTotals(event.result) : undefined;
    if (totals === undefined) failed += 1;
    summary = totals === undefined ? addFailedTask(summary) : addChunk(summary, totals, event.status.agentId);
    agents.add(event.status.agentId);
    done += 1;
    progress.update(done, { rate: (done * 1000) / elapsedMs(), agents: agents.size });
  };
  const waiting = taskIds.values();
  const watchers = Array.from({ length: Math.min(MAX_WATCHES, taskIds.length) }, async () => {
    for (const taskId of waiting) take(await endOf(client, taskId, signal));
  });
  await Promise.all(watchers);
  progress.stop();
  return { summary, failed, elapsedMs: elapsedMs(), traceId };
}

function submission({ root, files }: FileChunk): TaskSubmission {
  return { type: "code-analysis", input: { root, files }, labels: { job: "analysis" }, startToCloseMs: 120_000 };
}

async function endOf(client: MycelClient, taskId: string, signal: AbortSignal): Promise<StateEvent> {
  let last: StateEvent | undefined;
  for await (const event of client.watch(taskId, { kinds: ["state"], signal }))
    if (event.kind === "state") last = event;
  if (last === undefined) throw new Error(`the stream of task ${taskId} ended without a state`);
  return last;
}
