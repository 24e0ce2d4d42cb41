// Brings a whole mesh up, runs the main job on it, and stays until it is told to stop.

import { resolve } from "node:path";
import process from "node:process";
import { isSyncInterval } from "../../lib/nats/server/server-config.ts";
import { withoutCredentials } from "../../lib/secrets/redactor.ts";
import { openTracing } from "../../lib/telemetry/tracing.ts";
import { type AccessOptions, createClient } from "../../sdk/client/index.ts";
import { defaultSources } from "../analysis/default-sources.ts";
import { listSourceFiles, type SourceListing, SourceRootError } from "../analysis/source-listing.ts";
import { renderSummary } from "../analysis/summary-view.ts";
import type { CliContext } from "../context.ts";
import { EXIT, Failed, UsageError } from "../failure.ts";
import { type AnalysisJobResult, runAnalysisJob } from "./analysis-job.ts";
import { type LocalMesh, openLocalMesh } from "./local-mesh.ts";
import { nextSteps } from "./next-steps.ts";
import { StartError } from "./supervisor.ts";
import { upConfig } from "./up-config.ts";
import { DEFAULT_CONCURRENCY, DEFAULT_LISTEN, DEFAULT_SYNC, type UpOptions } from "./up-options.ts";

const PROJECT = resolve(import.meta.dirname, "../..");

/** Resolves with the exit code. Throws UsageError and Failed. `access` is who hands the job in. */
export async function up(context: CliContext, options: UpOptions, access: AccessOptions): Promise<number> {
  const say = (line: string): void => void context.out.line(line);
  const stop = new AbortController();
  const stopped = stopRequested(stop);
  if (options.once === true && (!options.job || options.agents === 0))
    throw new UsageError("--once stops when the job is done: it goes with neither --no-job nor --agents 0");
  const config = await upConfig(options.config, context.env);
  const sources = options.job ? await sourcesOf(options.path) : undefined;
  const roots = [...new Set([PROJECT, ...(sources?.files ?? []).map(({ root }) => root), ...config.allowedRoots])];
  const dataDir = resolve(options.data);
  const opened = await openLocalMesh({
    env: config.env,
    listen: addressOf(options, config.listen),
    agents: options.agents,
    concurrency: options.concurrency ?? config.concurrency ?? DEFAULT_CONCURRENCY,
    dataDir,
    syncInterval: syncOf(options, config.env),
    allowedRoots: roots,
    report: say,
    signal: stop.signal,
  }).catch((error: unknown) => {
    if (stop.signal.aborted) return undefined;
    throw complaintOf(error);
  });
  if (opened === undefined) return EXIT.interrupted;
  await using mesh = opened;
  await using tracing = await openTracing({ serviceName: "mycel-cli", env: mesh.tracingEnv });
  let result: AnalysisJobResult | undefined;
  if (sources !== undefined && options.agents > 0) {
    try {
      result = await runJob(context, { mesh, access, sources, signal: stop.signal });
    } catch (error) {
      if (stop.signal.aborted) return EXIT.interrupted;
      throw error;
    }
  }
  await tracing.flush();
  if (options.once === true) return result === undefined || result.failed > 0 ? 1 : 0;
  const traceOf = result === undefined || result.traceId === "" ? undefined : mesh.traces?.addressOf(result.traceId);
  const natsUrl = withoutCredentials(mesh.natsUrl);
  const { url, natsCredentials, logDir } = mesh;
  say(nextSteps({ url, natsUrl, natsCredentials, logDir, trace: traceOf ?? mesh.traces?.address }));
  await stopped;
  say("stopping");
  return 0;
}

interface Job {
  readonly mesh: LocalMesh;
  readonly access: AccessOptions;
  readonly sources: SourceListing;
  readonly signal: AbortSignal;
}

async function runJob({ out }: CliContext, { mesh, access, sources, signal }: Job): Promise<AnalysisJobResult> {
  const { files, truncated } = sources;
  await using client = createClient({ url: mesh.url, ...access });
  const which = truncated ? `the first ${files.length} files` : `${files.length} files`;
  await out.line(`job          analysing ${which} with the fleet`);
  const result = await runAnalysisJob({ client, files, stream: process.stderr, signal });
  const view = {
    elapsedMs: result.elapsedMs,
    columns: out.isTerminal ? out.columns : undefined,
    colour: out.colors.isColorSupported,
  };
  await out.line(renderSummary(result.summary, view));
  return result;
}

async function sourcesOf(path: string | undefined): Promise<SourceListing> {
  const sources = path === undefined ? await defaultSources(PROJECT) : { roots: [resolve(path)] };
  try {
    const listing = await listSourceFiles(sources);
    if (listing.files.length === 0)
      throw new UsageError(`there are no files to analyse in ${sources.roots.join(", ")}`);
    return listing;
  } catch (error) {
    throw error instanceof SourceRootError ? new UsageError(error.message) : error;
  }
}

/** What the user is told when something does not come up: whatever it is, it is about this machine and not about this code. */
function complaintOf(error: unknown): Error {
  if (!(error instanceof Error)) return new Failed(String(error));
  const line = error.message.replace(/^mycel \w+: /, "");
  if (/^(EACCES|EEXIST|ENOTDIR|EPERM|EROFS)\b/.test(line))
    return new UsageError(`${line}; choose another folder with --data`);
  if (/ is in use by a running nats-server|^process \d+ is starting a nats-server/.test(line))
    return new UsageError(`${line}: stop the mesh that runs there, or start another one with --data DIR --port 0`);
  if (!(error instanceof StartError) || error.exitCode !== EXIT.usage) return new Failed(line);
  const advice = line.startsWith("port ") ? "; choose another with --port, or a free one with --port 0" : "";
  return new UsageError(line + advice);
}

function addressOf({ listen, port }: UpOptions, configured: string | undefined): string {
  const base = listen ?? configured ?? DEFAULT_LISTEN;
  return port === undefined ? base : base.replace(/[^:]*$/, String(port));
}

function syncOf({ sync }: UpOptions, env: CliContext["env"]): string {
  const [name, value] = sync === undefined ? ["MYCEL_SYNC", env["MYCEL_SYNC"] || DEFAULT_SYNC] : ["--sync", sync];
  if (!isSyncInterval(value)) throw new UsageError(`${name} ${value} must be always, or an interval such as 1s`);
  // Whoever runs the server decides when it syncs.
  if (sync !== undefined && (env["NATS_URL"] ?? "") !== "")
    throw new UsageError("--sync is for the nats-server that is started here, but NATS_URL names another");
  return value;
}

/** Aborts and resolves at the first SIGINT or SIGTERM. A second one, unless it is the same sent twice, ends the process at once. */
function stopRequested(stop: AbortController): Promise<void> {
  return new Promise((resolvePromise) => {
    let askedMs: number | undefined;
    const onSignal = (): void => {
      const now = performance.now();
      if (askedMs !== undefined && now - askedMs > 300) process.exit(EXIT.interrupted);
      askedMs ??= now;
      stop.abort();
      resolvePromise();
    };
    process.on("SIGINT", onSignal);
    process.on("SIGTERM", onSignal);
    process.on("SIGHUP", onSignal);
  });
}
