// `mycel up`: a whole mesh on this machine, the main job on it, and then it stays up.

import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import process from "node:process";
import { Command } from "commander";
import { isSyncInterval } from "../../lib/nats/server/server-config.ts";
import { openTracing } from "../../lib/telemetry/tracing.ts";
import { createClient } from "../../sdk/client/index.ts";
import { defaultSources } from "../analysis/default-sources.ts";
import { listSourceFiles, type SourceListing, SourceRootError } from "../analysis/source-listing.ts";
import { renderSummary } from "../analysis/summary-view.ts";
import { type CliContext, examples } from "../context.ts";
import { EXIT, Failed, UsageError } from "../failure.ts";
import { wholeNumberOption } from "../option-values.ts";
import { type AnalysisJobResult, runAnalysisJob } from "../up/analysis-job.ts";
import { type LocalMesh, openLocalMesh } from "../up/local-mesh.ts";
import { nextSteps } from "../up/next-steps.ts";
import { StartError } from "../up/supervisor.ts";

const PROJECT = resolve(import.meta.dirname, "../..");
const DEFAULT_LISTEN = "127.0.0.1:8080";
const DEFAULT_CONCURRENCY = 2;
/**
 * Nothing that was accepted is lost when a process is killed, whatever this is; when the machine itself fails, the last second may be. To
 * lose nothing then either costs a wait for the disk in each step of a task, which a mesh for trying things out should not have to pay.
 */
const DEFAULT_SYNC = "1s";

interface UpOptions {
  readonly path?: string;
  readonly once?: boolean;
  readonly job: boolean;
  readonly port?: number;
  readonly listen?: string;
  readonly agents: number;
  readonly concurrency: number;
  readonly data: string;
  readonly sync?: string;
}

/** Makes the command. */
export function upCommand(context: CliContext): Command {
  return new Command("up")
    .summary("a whole mesh on this machine, with a real job on it")
    .description("Bring up a whole mesh on this machine, run a real job on it, and stay up.")
    .option("--path <dir>", "the folder to analyse; this project and some of its packages if left out")
    .option("--once", "stop when the job is done")
    .option("--no-job", "bring the mesh up without running the job")
    .option("--port <n>", "the port to listen on; 0 picks a free one", wholeNumberOption(0, 65_535))
    .option("--listen <address>", `where to listen, as host:port (MYCEL_LISTEN; default ${DEFAULT_LISTEN})`)
    .option("--agents <n>", "how many stock agents", wholeNumberOption(0, 64), defaultAgents())
    .option(
      "--concurrency <n>",
      "how many tasks each agent runs at once",
      wholeNumberOption(1, 1_000),
      DEFAULT_CONCURRENCY,
    )
    .option("--data <dir>", "the folder for data and logs; it survives restarts", ".mycel")
    .option(
      "--sync <when>",
      `when stored tasks are forced to the disk: always, or an interval (MYCEL_SYNC; default ${DEFAULT_SYNC})`,
    )
    .addHelpText("after", examples("mycel up --path ~/src/my-project", "mycel up --no-job --port 9000"))
    .action(async (options: UpOptions) => {
      process.exitCode = await up(context, options);
    });
}

async function up(context: CliContext, options: UpOptions): Promise<number> {
  const say = (line: string): void => void context.out.line(line);
  const stop = new AbortController();
  const stopped = stopRequested(stop);
  if (options.once === true && (!options.job || options.agents === 0))
    throw new UsageError("--once stops when the job is done: it goes with neither --no-job nor --agents 0");
  const sources = options.job ? await sourcesOf(options.path) : undefined;
  const roots = [...new Set([PROJECT, ...(sources?.files ?? []).map(({ root }) => root)])];
  const dataDir = resolve(options.data);
  const opened = await openLocalMesh({
    env: context.env,
    listen: addressOf(options, context.env),
    agents: options.agents,
    concurrency: options.concurrency,
    dataDir,
    syncInterval: syncOf(options, context.env),
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
      result = await runJob(context, mesh, sources, stop.signal);
    } catch (error) {
      if (stop.signal.aborted) return EXIT.interrupted;
      throw error;
    }
  }
  await tracing.flush();
  if (options.once === true) return result === undefined || result.failed > 0 ? 1 : 0;
  const traceOf = result === undefined || result.traceId === "" ? undefined : mesh.traces?.addressOf(result.traceId);
  say(nextSteps({ url: mesh.url, natsUrl: mesh.natsUrl, logDir: mesh.logDir, trace: traceOf ?? mesh.traces?.address }));
  await stopped;
  say("stopping");
  return 0;
}

async function runJob(
  { out }: CliContext,
  mesh: LocalMesh,
  { files, truncated }: SourceListing,
  signal: AbortSignal,
): Promise<AnalysisJobResult> {
  await using client = createClient({ url: mesh.url });
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

function addressOf({ listen, port }: UpOptions, env: CliContext["env"]): string {
  const base = listen ?? env["MYCEL_LISTEN"] ?? DEFAULT_LISTEN;
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

function defaultAgents(): number {
  return Math.min(4, Math.max(3, availableParallelism()));
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
