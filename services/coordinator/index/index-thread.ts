// The thread that keeps the index: opens it on a connection of its own, as its starter has set it, until it is told to stop.

import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { jetstreamManager } from "@nats-io/jetstream";
import type { Logger } from "../../../lib/core/logger.ts";
import { openBrokerClock } from "../../../lib/nats/broker-clock.ts";
import { openNats } from "../../../lib/nats/connection.ts";
import { DirectReader } from "../../../lib/nats/direct-reader.ts";
import { Lanes } from "../../../lib/nats/lanes.ts";
import { OutputLog } from "../../../lib/nats/output-log.ts";
import { RecentWrites } from "../../../lib/nats/recent-writes.ts";
import { StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { TaskLog } from "../../../lib/nats/task-log.ts";
import { coordinatorCredentials } from "../../../lib/nats/trust/trust-folder.ts";
import { Timers } from "../../../lib/nats/timers.ts";
import { WebhookHooks } from "../../../lib/nats/webhook-hooks.ts";
import { WriteRingReader } from "../../../lib/nats/write-ring.ts";
import { pause } from "../../../lib/time/pause.ts";
import type { CoordinatorConfig } from "../config.ts";
import { quietLog } from "../quiet-log.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { Lifecycle } from "../tasks/lifecycle.ts";
import { openTaskIndex } from "./task-index.ts";
import { sendingLogger, type ThreadLogLine } from "./thread-log.ts";

/** What its starter hands the thread. */
export interface IndexThreadData {
  readonly config: Pick<
    CoordinatorConfig,
    "natsUrls" | "natsTls" | "natsTrustDir" | "dataDir" | "retentionMs" | "leaseMs" | "queueDepthLimit" | "maxQueues"
  >;
  /** See TaskIndexOptions. */
  readonly holderId: string;
  /** What the process stores: the memory of a ring. */
  readonly writes: SharedArrayBuffer;
}

/** What the thread tells its starter. */
export type IndexThreadWord =
  /** It is open: the index is served by it or by another coordinator, unless it has much to read first. */
  { readonly word: "open" } | { readonly word: "log"; readonly line: ThreadLogLine };

/** How long a start may wait for an index that has to be built, in milliseconds. */
const SETTLE_WITHIN_MS = 300;

/** Opens the index. Throws NatsUnavailableError. */
async function openIndex({ config, holderId, writes }: IndexThreadData, logger: Logger): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const quiet = quietLog(logger, SYSTEM_CLOCK);
  const nats = {
    servers: config.natsUrls,
    tls: config.natsTls,
    credentialsFile: config.natsTrustDir === "" ? undefined : coordinatorCredentials(config.natsTrustDir),
    name: "mycel coordinator",
    onThrown: (err: unknown) => quiet({ err }, "message of NATS not taken"),
    onRefused: (err: unknown) => quiet({ err }, "refused by NATS"),
  };
  const connection = stack.adopt(await openNats(nats), (opened) => opened.drain().catch(() => undefined));
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const clock = stack.use(
    await openBrokerClock({
      manager,
      local: SYSTEM_CLOCK,
      // The coordinator says so.
      onWallOff: () => undefined,
      onTrouble: (err) => logger.debug({ err }, "the broker's clock was not read; trying again"),
    }),
  );
  const recent = new RecentWrites(() => clock.now());
  const publisher = new StreamPublisher(connection, { onStored: (messages, last) => recent.stored(messages, last) });
  const reader = stack.use(new DirectReader(connection));
  const log = new TaskLog({ connection, manager, publisher, reader });
  const outputs = new OutputLog({ connection, publisher, reader });
  const timers = new Timers(publisher);
  const lanes = new Lanes(
    { connection, manager },
    { leaseMs: config.leaseMs, depthLimit: config.queueDepthLimit, maxQueues: config.maxQueues },
    () => clock.monotonicMs(),
  );
  const lifecycle = new Lifecycle({ connection, log, outputs, timers, lanes, clock, logger });
  const hooks = new WebhookHooks({ connection, manager, publisher, reader });
  const index = stack.use(
    await openTaskIndex({
      connection,
      reader,
      recent: new WriteRingReader(writes, recent),
      log,
      timers,
      clock,
      logger,
      dataDir: config.dataDir,
      holderId,
      retentionMs: config.retentionMs,
      isHooked: (tenant, taskId) => hooks.stands(tenant, taskId),
      expireTask: (tenant, taskId) => lifecycle.expire(tenant, taskId),
    }),
  );
  const served = new AbortController();
  await Promise.race([index.settled(), pause(SETTLE_WITHIN_MS, served.signal)]);
  served.abort();
  // Else a list might come before the broker knows who answers it.
  await connection.flush();
  return stack.move();
}

async function main(): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error("the index's thread was started as a process");
  const stopped = new Promise((resolve) => {
    port.once("message", resolve);
  });
  const say = (word: IndexThreadWord): void => port.postMessage(word);
  const logger = sendingLogger((line) => say({ word: "log", line }));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- threaded-index.ts hands it over
  await using _index = await openIndex(workerData as IndexThreadData, logger);
  say({ word: "open" });
  await stopped;
}

await main();
process.exit(0);
