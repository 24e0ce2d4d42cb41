// What a setting loses: submissions that a coordinator has acknowledged and that are not in the log after servers were killed, or after
// their machines lost power.
import { setTimeout as sleep } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { openNats } from "../../lib/nats/connection.ts";
import { TASKS_STREAM } from "../../lib/wire/subjects.ts";
import { createClient, type MycelClient } from "../../sdk/client/index.ts";
import { startProcess } from "../support/process.ts";
import { type Brokers, openBrokers } from "./brokers.ts";
import { type ForgetfulDisk, openForgetfulDisk } from "./forgetful-disk.ts";
import type { Setting } from "./setting.ts";

/** What happens to the servers. */
export interface Disaster {
  /** `kill`: SIGKILL to the process. `power cut`: and its disk forgets what was not forced onto it. */
  readonly kind: "kill" | "power cut";
  /** One server, the leader of the tasks; or all at the same moment. */
  readonly who: "one" | "all";
}

/** What several rounds of one disaster did to one setting. */
export interface Loss {
  readonly setting: Setting;
  readonly disaster: Disaster;
  readonly rounds: number;
  /** Submissions that were acknowledged in the seconds before each disaster. */
  readonly acknowledged: number;
  readonly lost: number;
  /** How long before its disaster the oldest lost submission was acknowledged, in seconds; 0 if none was lost. */
  readonly oldestLostSeconds: number;
}

/** How a loss is measured. */
export interface LossOptions {
  readonly setting: Setting;
  readonly disaster: Disaster;
  readonly rounds: number;
  /** How long tasks are submitted before each disaster, in milliseconds. */
  readonly loadMs: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const CONCURRENCY = 16;
/** How long a call may take: servers that are down answer nothing. */
const CALL_MS = 20_000;
const READ_WITHIN_MS = 60_000;
const READ_AGAIN_MS = 250;

/** Measures it. */
export async function measureLoss(options: LossOptions): Promise<Loss> {
  const { setting, disaster, rounds } = options;
  await using stack = new AsyncDisposableStack();
  const disks: ForgetfulDisk[] = [];
  if (disaster.kind === "power cut") {
    for (let i = 0; i < setting.replicas; i += 1) disks.push(stack.use(await openForgetfulDisk()));
  }
  const dirs = disks.length === 0 ? undefined : disks.map(({ path }) => path);
  const brokers = stack.use(await openBrokers(setting, dirs));
  const coordinator = stack.use(
    await startProcess({
      entry: "services/coordinator/main.ts",
      env: {
        ...options.environment,
        NATS_URL: brokers.url,
        MYCEL_REPLICAS: String(setting.replicas),
        MYCEL_LISTEN: "127.0.0.1:0",
        MYCEL_QUEUE_LIMIT: "10000000",
      },
    }),
  );
  const client = stack.use(
    createClient({ url: String(coordinator.ready["url"]), retry: { attempts: 1 }, timeoutMs: CALL_MS }),
  );
  await acceptAgain(client);
  const total = { acknowledged: 0, lost: 0, oldestLostSeconds: 0 };
  for (let round = 0; round < rounds; round += 1) {
    // What stands for minutes already is on the disk.
    await Promise.all(disks.map((disk) => disk.sync()));
    const { acknowledged, disasterMs } = await loadUntil(client, options.loadMs, async () => {
      const struckMs = await strike(brokers, disks, disaster);
      await recover(brokers);
      return struckMs;
    });
    const kept = await storedTasks(brokers.url);
    for (const [taskId, ackMs] of acknowledged) {
      total.acknowledged += 1;
      if (kept.has(taskId)) continue;
      total.lost += 1;
      total.oldestLostSeconds = Math.max(total.oldestLostSeconds, (disasterMs - ackMs) / 1_000);
    }
    await acceptAgain(client);
  }
  return { setting, disaster, rounds, ...total };
}

/** Submits until a disaster is over; returns when each task was acknowledged, and when it struck. */
async function loadUntil(
  client: MycelClient,
  loadMs: number,
  disaster: () => Promise<number>,
): Promise<{ readonly acknowledged: ReadonlyMap<string, number>; readonly disasterMs: number }> {
  const acknowledged = new Map<string, number>();
  let over = false;
  const submitAll = async (): Promise<void> => {
    while (!over) {
      try {
        const { taskId } = await client.submit("parked", "x".repeat(200));
        acknowledged.set(taskId, performance.now());
      } catch {
        // Refused, or unknown: nothing was promised.
        await sleep(READ_AGAIN_MS);
      }
    }
  };
  const submitters = Array.from({ length: CONCURRENCY }, submitAll);
  await sleep(loadMs);
  const disasterMs = await disaster();
  over = true;
  await Promise.all(submitters);
  return { acknowledged, disasterMs };
}

/** Resolves with the moment at which it had struck. */
async function strike(brokers: Brokers, disks: readonly ForgetfulDisk[], { who }: Disaster): Promise<number> {
  const leader = who === "one" ? await brokers.leaderOf(TASKS_STREAM) : undefined;
  const isStruck = (_: unknown, place: number): boolean => leader === undefined || place === leader;
  const atMs = performance.now();
  // Every signal is sent before any of the processes is waited for.
  await Promise.all(brokers.nodes.filter(isStruck).map((node) => node.kill()));
  await Promise.all(disks.filter(isStruck).map((disk) => disk.cut()));
  return atMs;
}

async function recover({ nodes }: Brokers): Promise<void> {
  await Promise.all(nodes.map(async (node) => ((await hasEnded(node)) ? node.restart() : undefined)));
}

async function hasEnded({ process }: Brokers["nodes"][number]): Promise<boolean> {
  return await Promise.race([process.exited.then(() => true), sleep(1, false)]);
}

/** The tasks of which the log has the submission. */
async function storedTasks(url: string): Promise<ReadonlySet<string>> {
  const endMs = performance.now() + READ_WITHIN_MS;
  for (;;) {
    try {
      await using connection = await openNats({ servers: url, name: "bench" });
      const manager = await jetstreamManager(connection);
      const { state } = await manager.streams.info(TASKS_STREAM, { subjects_filter: "task.*.*.q.>" });
      return new Set(Object.keys(state.subjects ?? {}).map((subject) => subject.split(".")[2] ?? ""));
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await sleep(READ_AGAIN_MS);
    }
  }
}

/** Waits until submissions are taken. */
async function acceptAgain(client: MycelClient): Promise<void> {
  const endMs = performance.now() + READ_WITHIN_MS;
  for (;;) {
    try {
      await client.submit("parked");
      return;
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await sleep(READ_AGAIN_MS);
    }
  }
}
