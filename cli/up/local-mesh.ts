// A whole mesh on this machine: nats-server, a coordinator, a fleet of stock agents, and a place where their traces can be looked at.

import { chmod } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { findNatsServer } from "../../lib/nats/server/find-server.ts";
import { TRUST_FILES } from "../../lib/nats/trust/trust-folder.ts";
import { withoutCredentials } from "../../lib/secrets/redactor.ts";
import { openTraceStore, type TraceStore } from "../traces/trace-store.ts";
import { agentEnv } from "./agent-env.ts";
import { Broker } from "./broker.ts";
import { Supervisor } from "./supervisor.ts";
import { makeFolder } from "../../lib/files/make-folder.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** What to bring up. */
export interface LocalMeshOptions {
  /** The environment, which children inherit. `NATS_URL` names a running server: then none is started. */
  readonly env: Env;
  /** Where the coordinator listens, e.g. `127.0.0.1:8080`. */
  readonly listen: string;
  /** How many stock agents. From 0 to 64. */
  readonly agents: number;
  /** How many attempts each runs at once. */
  readonly concurrency: number;
  /** The folder for all data. */
  readonly dataDir: string;
  /** When the nats-server that is started forces what it stored to the disk: `always`, or an interval such as `1s`. */
  readonly syncInterval: string;
  /** Folders that code-analysis may read. */
  readonly allowedRoots: readonly string[];
  /** Hears, in one line each, what is done. */
  readonly report: (line: string) => void;
  /** Ends bringing up, with its reason, before the next step. */
  readonly signal: AbortSignal;
}

/** A mesh that runs. Disposing it stops everything in order. */
export interface LocalMesh extends AsyncDisposable {
  /** The coordinator's address. */
  readonly url: string;
  readonly natsUrl: string;
  /** The file of a person's credentials there; undefined for a server that somebody else runs. */
  readonly natsCredentials: string | undefined;
  readonly logDir: string;
  /** Where traces can be looked at; undefined when they go to a collector of the user's own. */
  readonly traces: TraceStore | undefined;
  /** What makes a process send its traces there. */
  readonly tracingEnv: Env;
}

const SERVICES = resolve(import.meta.dirname, "../../services");

/** Brings everything up and resolves when work can be handed in. Whatever was started before a failure is stopped. */
export async function openLocalMesh(options: LocalMeshOptions): Promise<LocalMesh> {
  const stack = new AsyncDisposableStack();
  try {
    return await open(options, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function open(options: LocalMeshOptions, stack: AsyncDisposableStack): Promise<LocalMesh> {
  const { env, dataDir, report, signal } = options;
  const logDir = join(dataDir, "logs");
  // Inputs, results and traces are nobody else's on this machine.
  for (const folder of ["logs", "nats", "index", "traces"]) await makePrivate(join(dataDir, folder));
  const { url: natsUrl, trustDir } = await openBroker(options, stack);
  const own = env["OTEL_EXPORTER_OTLP_ENDPOINT"] ?? env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
  const traces = own === undefined ? stack.use(await openTraceStore({ dir: join(dataDir, "traces") })) : undefined;
  const tracingEnv = traces === undefined ? env : sendingTraces(env, traces.endpoint);
  // The reporting side of a restart is the supervisors'; the children's own lines are in their log files. The agents end together, and
  // before the coordinator that takes their last reports.
  const coordinators = stack.use(new Supervisor({ logDir, report }));
  const agents = stack.use(new Supervisor({ logDir, report }));
  signal.throwIfAborted();
  const childEnv = { ...tracingEnv, NODE_NO_WARNINGS: "1", NATS_URL: natsUrl };
  const trustEnv = trustDir === undefined ? {} : { MYCEL_NATS_TRUST: join(trustDir, TRUST_FILES.coordinator) };
  const coordinator = await coordinators.start({
    name: "coordinator",
    entry: join(SERVICES, "coordinator/main.ts"),
    env: { ...childEnv, ...trustEnv, MYCEL_LISTEN: options.listen, MYCEL_DATA_DIR: join(dataDir, "index") },
    // Clients and agents know the port that a free choice gave; it must be the same after a restart.
    pinned: ({ url }) => ({ MYCEL_LISTEN: new URL(String(url)).host }),
  });
  const url = String(coordinator.ready["url"]);
  report(`coordinator  ${url}`);
  signal.throwIfAborted();
  await Promise.all(
    Array.from({ length: options.agents }, (_, i) =>
      agents.start({
        name: `agent-${i + 1}`,
        entry: join(SERVICES, "worker/main.ts"),
        env: {
          ...agentEnv(childEnv),
          MYCEL_URL: url,
          MYCEL_AGENT_ID: `stock-${i + 1}`,
          MYCEL_CONCURRENCY: String(options.concurrency),
          MYCEL_ALLOWED_ROOTS: options.allowedRoots.join(delimiter),
        },
      }),
    ),
  );
  signal.throwIfAborted();
  if (options.agents > 0) report(`agents       ${options.agents} × ${options.concurrency} slots`);
  const natsCredentials = trustDir === undefined ? undefined : join(trustDir, TRUST_FILES.admin);
  return {
    url,
    natsUrl,
    natsCredentials,
    logDir,
    traces,
    tracingEnv,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Makes a folder into which nobody else looks, also one that an older version made for everybody. */
async function makePrivate(folder: string): Promise<void> {
  await makeFolder(folder, { mode: 0o700 });
  await chmod(folder, 0o700);
}

/** The environment of processes that send their traces to `endpoint`, and no metrics unless the user says where to. */
export function sendingTraces(env: Env, endpoint: string): Env {
  // By the variable of traces: the store takes nothing else, and would refuse the metrics that the shared one invites.
  return { ...env, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint, OTEL_BSP_SCHEDULE_DELAY: "200" };
}

interface OpenBroker {
  readonly url: string;
  /** Undefined for a server that somebody else runs. */
  readonly trustDir: string | undefined;
}

async function openBroker(options: LocalMeshOptions, stack: AsyncDisposableStack): Promise<OpenBroker> {
  const { env, dataDir, syncInterval, report, signal } = options;
  const given = env["NATS_URL"];
  if (given !== undefined && given !== "") {
    report(`nats-server  ${withoutCredentials(given)} (NATS_URL; nothing is started)`);
    return { url: given, trustDir: undefined };
  }
  const { binary, version, source } = await findNatsServer({ environment: env, report, signal });
  const trustDir = join(dataDir, "trust");
  const broker = stack.use(
    await Broker.open({ binary, dataDir: join(dataDir, "nats"), trustDir, syncInterval, report }),
  );
  report(`nats-server  ${broker.url} (${version}, ${source}; data in ${join(dataDir, "nats")}; sync ${syncInterval})`);
  return { url: broker.url, trustDir };
}
