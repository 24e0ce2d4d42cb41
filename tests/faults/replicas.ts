// Whether all replicas of a stream hold the same messages, once nothing is written any more. Reads each replica by itself; mends nothing.
import { createHash } from "node:crypto";
import { jetstream, jetstreamManager, type JetStreamManager, type JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { pause } from "../../lib/time/pause.ts";

/** What one replica holds. */
export interface Replica {
  /** The name of its server. */
  readonly server: string;
  /** The sequence of its last message, 0 for none. */
  readonly lastSequence: number;
  readonly messages: number;
}

/** A place at which replicas differ. */
export interface ReplicaDifference {
  readonly sequence: number;
  /** What each server has there, as a digest; undefined for nothing. */
  readonly found: Readonly<Record<string, string | undefined>>;
}

/** The replicas of a stream side by side. */
export interface ReplicaComparison {
  readonly stream: string;
  readonly replicas: readonly Replica[];
  /** Where they differ up to the least of their last sequences; at most {@link MAX_DIFFERENCES}. */
  readonly differences: readonly ReplicaDifference[];
}

/** The most differences that are told. */
export const MAX_DIFFERENCES = 20;

/** How many messages one pull brings. */
const BATCH = 2_000;
const PULL_TIMEOUT_MS = 1_000;
const PAUSE_MS = 200;
/** After so many pulls in a row that brought nothing, a replica has told everything that it can. */
const MAX_IDLE_PULLS = 5;

/** How long a replica may take to catch up when everything is healed, and how often it is looked at. */
const CATCH_UP_MS = 30_000;
const CATCH_UP_PAUSE_MS = 1_000;

/** The server chooses where a consumer lives; one of three is missed by so many draws once in 10^17 runs. */
const MAX_DRAWS = 100;

/**
 * Reads every replica of a stream. A consumer without replicas lives on one server of the stream and delivers from that server's own
 * store; consumers are made until each server had one. Rejects when a server cannot be read.
 */
export async function compareReplicas(connection: NatsConnection, stream: string): Promise<ReplicaComparison> {
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const { cluster, config } = await manager.streams.info(stream);
  const servers = [cluster?.leader, ...(cluster?.replicas ?? []).map(({ name }) => name)].filter(
    (name) => name !== undefined && name !== "",
  );
  if (servers.length < config.num_replicas) throw new Error(`${stream} has ${servers.length} of its replicas`);
  const dumps = new Map<string, Map<number, string>>();
  for (let draws = 0; dumps.size < Math.max(servers.length, 1); draws += 1) {
    if (draws === MAX_DRAWS) throw new Error(`${stream}: only ${[...dumps.keys()].join(", ")} could be read`);
    await drawReplica(connection, manager, stream, dumps);
  }
  return {
    stream,
    replicas: [...dumps].map(([server, dump]) => replicaOf(server, dump)),
    differences: differencesOf(dumps),
  };
}

/**
 * What is wrong with the replicas of streams at rest, in sentences; empty if nothing is. A replica that lags behind gets `limitMs` to catch
 * up.
 */
export async function replicaFaults(
  connection: NatsConnection,
  streams: readonly string[],
  limitMs: number = CATCH_UP_MS,
): Promise<string[]> {
  const untilMs = performance.now() + limitMs;
  const found: string[] = [];
  for (const stream of streams) {
    for (;;) {
      const comparison = await compareReplicas(connection, stream).catch((error: unknown) => String(error));
      const faults = typeof comparison === "string" ? [comparison] : faultsOf(comparison);
      if (faults.length > 0 && performance.now() < untilMs) {
        await pause(CATCH_UP_PAUSE_MS);
        continue;
      }
      found.push(...faults);
      break;
    }
  }
  return found;
}

function faultsOf({ stream, replicas, differences }: ReplicaComparison): string[] {
  const ends = replicas.map(({ server, lastSequence }) => `${server} at ${lastSequence}`);
  const apart = new Set(replicas.map(({ lastSequence }) => lastSequence)).size > 1;
  return [
    ...(apart ? [`the replicas of ${stream} end ${ends.join(", ")}`] : []),
    ...differences.map(({ sequence, found }) => {
      const having = Object.entries(found).map(([server, digest]) => `${server} ${digest?.slice(0, 8) ?? "nothing"}`);
      return `the replicas of ${stream} differ at ${sequence}: ${having.join(", ")}`;
    }),
  ];
}

async function drawReplica(
  connection: NatsConnection,
  manager: JetStreamManager,
  stream: string,
  dumps: Map<string, Map<number, string>>,
): Promise<void> {
  const {
    name,
    cluster,
    num_pending: pending,
  } = await manager.consumers.add(stream, {
    ack_policy: "none",
    deliver_policy: "all",
    num_replicas: 1,
    mem_storage: true,
  });
  try {
    const server = cluster?.leader ?? "alone";
    if (!dumps.has(server)) dumps.set(server, await dump(connection, stream, name, pending));
  } finally {
    await manager.consumers.delete(stream, name);
  }
}

async function dump(
  connection: NatsConnection,
  stream: string,
  name: string,
  pending: number,
): Promise<Map<number, string>> {
  const consumer = await jetstream(connection).consumers.get(stream, name);
  const found = new Map<number, string>();
  // A message that its server cannot read any more is passed over in silence, though it was counted.
  for (let idle = 0; found.size < pending && idle < MAX_IDLE_PULLS;) {
    const before = found.size;
    const wanted = Math.min(BATCH, pending - before);
    try {
      for await (const message of await consumer.fetch({ max_messages: wanted, expires: PULL_TIMEOUT_MS })) {
        found.set(message.seq, digestOf(message));
      }
    } catch (error) {
      // A consumer that was just made on another server may not be known to the one that was asked.
      if (idle + 1 === MAX_IDLE_PULLS) throw error;
      await pause(PAUSE_MS);
    }
    idle = found.size === before ? idle + 1 : 0;
  }
  return found;
}

function digestOf({ subject, headers, data }: JsMsg): string {
  const hash = createHash("sha256").update(subject);
  for (const key of headers?.keys() ?? []) hash.update(`\0${key}\0${headers?.values(key).join("\0") ?? ""}`);
  return hash.update("\0\0").update(data).digest("base64url");
}

function replicaOf(server: string, dump: ReadonlyMap<number, string>): Replica {
  return { server, lastSequence: lastOf(dump), messages: dump.size };
}

function lastOf(dump: ReadonlyMap<number, string>): number {
  let last = 0;
  for (const sequence of dump.keys()) last = Math.max(last, sequence);
  return last;
}

function differencesOf(dumps: ReadonlyMap<string, ReadonlyMap<number, string>>): ReplicaDifference[] {
  const common = Math.min(...[...dumps.values()].map(lastOf));
  const found: ReplicaDifference[] = [];
  for (let sequence = 1; sequence <= common && found.length < MAX_DIFFERENCES; sequence += 1) {
    const digests = [...dumps].map(([server, dump]) => [server, dump.get(sequence)] as const);
    if (new Set(digests.map(([, digest]) => digest)).size > 1)
      found.push({ sequence, found: Object.fromEntries(digests) });
  }
  return found;
}
