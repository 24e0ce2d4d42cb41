// The streams and buckets of the mesh as data, and how they are brought about and kept.

import { JetStreamApiError, jetstreamManager, type JetStreamManager, type StreamConfig } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import { WEBHOOK_DELIVERY_TTL_MS } from "../core/webhook-delivery.ts";
import { pause } from "../time/pause.ts";
import {
  AGENTS_BUCKET,
  AUDIT_REPUBLISH,
  AUDIT_STREAM,
  AUDIT_SUBJECTS,
  BLOBS_BUCKET,
  bucketStream,
  CREDENTIALS_BUCKET,
  EVENT_REPUBLISH,
  KEYS_BUCKET,
  OUTPUT_REPUBLISH,
  OUTPUT_STREAM,
  OUTPUT_SUBJECTS,
  QUEUES_BUCKET,
  REVOCATIONS_BUCKET,
  ROLES_BUCKET,
  TASKS_STREAM,
  TASKS_SUBJECTS,
  TIMERS_CONSUMER,
  TIMERS_FIRED,
  TIMERS_STREAM,
  TIMERS_SUBJECTS,
  TRUST_BUCKET,
  WEBHOOK_DELIVERIES_STREAM,
  WEBHOOK_DELIVERY_SUBJECTS,
  WEBHOOK_ENDPOINT_SUBJECTS,
  WEBHOOK_ENDPOINTS_STREAM,
  WEBHOOK_HOOK_REPUBLISH,
  WEBHOOK_HOOK_SUBJECTS,
  WEBHOOK_HOOKS_STREAM,
} from "../wire/subjects.ts";
import { NatsUnavailableError } from "./connection.ts";
import { ROLE_TTL_MS } from "./role.ts";
import { FEED_ACK_WAIT_NANOS } from "./work-feed.ts";
import { isNoRoom, settleMaxBytes } from "./stream-room.ts";

/** What an operator can choose about storage. */
export interface TopologyOptions {
  /** How many servers keep each message: 1, 3 or 5. */
  readonly replicas: number;
  /** How long the log is kept, in milliseconds. Must exceed the longest wait. */
  readonly retentionMs: number;
  /**
   * The most bytes that each of the task, output and blob streams may take; -1 for no limit but the server's. Undefined for what stands, or,
   * where nothing stands yet, for what the servers have room for.
   */
  readonly maxBytes: number | undefined;
  /** How long an agent stays registered without a heartbeat, in milliseconds. From 2,000. */
  readonly agentTtlMs: number;
  /** How long the audit log is kept, in milliseconds. Default 365 days. */
  readonly auditRetentionMs?: number;
  /** The most bytes that the audit log may take; -1 for no limit but the server's. Default an eighth of what a task stream may. */
  readonly auditMaxBytes?: number | undefined;
  /** How long an agent's credential lives, in milliseconds. Default 900,000 (15 min). */
  readonly credentialMs?: number;
}

/** The same with a size. */
export interface SizedOptions extends TopologyOptions {
  readonly maxBytes: number;
}

const NANOS_PER_MS = 1_000_000;

/** JetStream's code for a stream that exists with other settings. */
const STREAM_NAME_IN_USE = 10058;

/** JetStream's codes for what passes: an election, servers of a cluster that are not there yet, another coordinator that looks for room. */
const PASSING: ReadonlySet<number> = new Set([10008, 10005, STREAM_NAME_IN_USE]);

/** JetStream's own choice where the messages live longer. */
const MAX_DUPLICATE_WINDOW_MS = 120_000;

/** Room for queues at four priorities each; a stream takes 1,000 consumers unless told otherwise. */
const MAX_CONSUMERS = 100_000;

const DEFAULT_CREDENTIAL_MS = 900_000;

/** What is known of a credential is kept for as long as anybody's clock may take it for valid, in milliseconds. */
const CREDENTIAL_SLACK_MS = 60_000;

type NamedConfig = Partial<StreamConfig> & { readonly name: string };

/** The streams, as JetStream is asked for them. */
export function streamConfigs(options: SizedOptions): readonly [tasks: NamedConfig, ...others: NamedConfig[]] {
  const common = {
    retention: "limits",
    storage: "file",
    num_replicas: options.replicas,
    max_age: options.retentionMs * NANOS_PER_MS,
    max_consumers: MAX_CONSUMERS,
    allow_direct: true,
  } as const;
  return [
    {
      ...common,
      name: TASKS_STREAM,
      subjects: [TASKS_SUBJECTS],
      discard: "new",
      max_bytes: options.maxBytes,
      allow_atomic: true,
      // Compare-and-set recognises repetitions for as long as the log is kept; the window would only cost memory.
      duplicate_window: 1_000 * NANOS_PER_MS,
      republish: EVENT_REPUBLISH,
    },
    {
      ...common,
      name: OUTPUT_STREAM,
      subjects: [OUTPUT_SUBJECTS],
      discard: "new",
      max_bytes: options.maxBytes,
      // The stream is all tenants': whoever guesses another's message id must not have its output taken for a repetition. The server has no less.
      duplicate_window: 100 * NANOS_PER_MS,
      republish: OUTPUT_REPUBLISH,
    },
    {
      ...common,
      name: TIMERS_STREAM,
      subjects: [TIMERS_SUBJECTS],
      // The server refuses schedules together with `discard: new`; without a byte limit nothing is ever discarded.
      discard: "old",
      max_bytes: -1,
      allow_msg_schedules: true,
    },
    ...webhookConfigs(options),
    auditConfig(options),
  ];
}

/** What deliveries, and the audit log, may take as a part of what a task stream may; bounds that the three large streams leave room for. */
const SMALL_PART = 8;
const LEAST_SMALL_BYTES: number = 1024 * 1024;

function smallPartOf(maxBytes: number): number {
  return maxBytes === -1 ? -1 : Math.max(Math.floor(maxBytes / SMALL_PART), LEAST_SMALL_BYTES);
}

const DEFAULT_AUDIT_RETENTION_MS: number = 365 * 86_400_000;

/** The stream of the audit log: what it holds is only ever removed by its age. */
function auditConfig({ replicas, maxBytes, auditRetentionMs, auditMaxBytes }: SizedOptions): NamedConfig {
  return {
    name: AUDIT_STREAM,
    subjects: [AUDIT_SUBJECTS],
    retention: "limits",
    storage: "file",
    num_replicas: replicas,
    max_age: (auditRetentionMs ?? DEFAULT_AUDIT_RETENTION_MS) * NANOS_PER_MS,
    // What is there must not make room for what comes: whoever wants to be forgotten would only have to be busy.
    discard: "new",
    max_bytes: auditMaxBytes ?? smallPartOf(maxBytes),
    deny_delete: true,
    deny_purge: true,
    allow_direct: true,
    republish: AUDIT_REPUBLISH,
  };
}

/** The streams of webhooks: each subject holds its newest record only. */
function webhookConfigs({ replicas, retentionMs, maxBytes }: SizedOptions): readonly NamedConfig[] {
  const common = {
    retention: "limits",
    storage: "file",
    num_replicas: replicas,
    max_msgs_per_subject: 1,
    max_consumers: MAX_CONSUMERS,
    allow_direct: true,
  } as const;
  return [
    { ...common, name: WEBHOOK_ENDPOINTS_STREAM, subjects: [WEBHOOK_ENDPOINT_SUBJECTS] },
    {
      ...common,
      name: WEBHOOK_HOOKS_STREAM,
      subjects: [WEBHOOK_HOOK_SUBJECTS],
      max_age: retentionMs * NANOS_PER_MS,
      republish: WEBHOOK_HOOK_REPUBLISH,
    },
    {
      ...common,
      name: WEBHOOK_DELIVERIES_STREAM,
      subjects: [WEBHOOK_DELIVERY_SUBJECTS],
      max_age: WEBHOOK_DELIVERY_TTL_MS * NANOS_PER_MS,
      // The oldest go first: each attempt writes a delivery anew, so that one that still waits is never among them before it has waited
      // longer than all that was stored since.
      discard: "old",
      max_bytes: smallPartOf(maxBytes),
    },
  ];
}

/** How long to wait for a JetStream that is not ready: longer than a cluster's election. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 500;

/**
 * Makes sure that all streams, buckets and system consumers exist with these settings. Safe to call from every coordinator. A JetStream
 * that is not ready yet, because it starts or elects a leader, is waited for. Throws NatsUnavailableError NATS_NO_ROOM.
 */
export async function ensureTopology(
  connection: NatsConnection,
  options: TopologyOptions,
  onTrouble: (error: unknown) => void = () => undefined,
): Promise<JetStreamManager> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await ensure(connection, options);
    } catch (error) {
      if (!isPassing(error, options) || performance.now() > untilMs)
        throw isNoRoom(error) ? noRoom(options, error) : error;
      onTrouble(error);
      await pause(RETRY_MS);
    }
  }
}

/**
 * What the server refuses by its API, it will refuse again; except for what a cluster learns of itself only after a while, and for room that
 * another coordinator takes for a moment while it looks how much there is.
 */
function isPassing(error: unknown, { replicas, maxBytes }: TopologyOptions): boolean {
  if (!(error instanceof JetStreamApiError)) return !(error instanceof NatsUnavailableError);
  return PASSING.has(error.code) || (isNoRoom(error) && (replicas > 1 || maxBytes === undefined));
}

function noRoom({ maxBytes }: TopologyOptions, cause?: unknown): NatsUnavailableError {
  const message =
    maxBytes === undefined
      ? "JetStream has no room for the mesh's streams: give the server more (max_file_store), or set MYCEL_MAX_BYTES"
      : `JetStream has no room for three streams of ${maxBytes} bytes, an eighth of that for webhooks and another for the audit log: lower MYCEL_MAX_BYTES, or raise max_file_store`;
  return new NatsUnavailableError("NATS_NO_ROOM", message, cause);
}

async function ensure(connection: NatsConnection, given: TopologyOptions): Promise<JetStreamManager> {
  const manager = await jetstreamManager(connection);
  const maxBytes =
    given.maxBytes ?? (await settleMaxBytes(manager, given.replicas, (size) => ensureTasks(manager, given, size)));
  if (maxBytes === undefined) throw noRoom(given);
  const options = { ...given, maxBytes };
  for (const config of streamConfigs(options)) await ensureStream(manager, config);
  await ensureTimersConsumer(manager);
  await ensureKeyBucket(connection, manager, AGENTS_BUCKET, options.replicas, options.agentTtlMs);
  await ensureKeyBucket(connection, manager, ROLES_BUCKET, options.replicas, ROLE_TTL_MS);
  const credentialMs = options.credentialMs ?? DEFAULT_CREDENTIAL_MS;
  await ensureKeyBucket(connection, manager, CREDENTIALS_BUCKET, options.replicas, credentialMs + CREDENTIAL_SLACK_MS);
  await ensureSettingsBucket(connection, manager, REVOCATIONS_BUCKET, options.replicas);
  await ensureSettingsBucket(connection, manager, QUEUES_BUCKET, options.replicas);
  await ensureSettingsBucket(connection, manager, TRUST_BUCKET, options.replicas);
  await ensureSettingsBucket(connection, manager, KEYS_BUCKET, options.replicas);
  const { replicas } = options;
  const blobAge = options.retentionMs * NANOS_PER_MS;
  const blobs = { replicas, storage: "file", ttl: blobAge, max_bytes: maxBytes } as const;
  await new Objm(connection).create(BLOBS_BUCKET, blobs).catch(async (error: unknown) => {
    if (!(await isReckonedTwice(manager, `OBJ_${BLOBS_BUCKET}`, error))) throw error;
  });
  await adopt(manager, `OBJ_${BLOBS_BUCKET}`, { num_replicas: replicas, max_age: blobAge, max_bytes: maxBytes });
  return manager;
}

async function ensureTasks(manager: JetStreamManager, options: TopologyOptions, maxBytes: number): Promise<void> {
  const [tasks] = streamConfigs({ ...options, maxBytes });
  await ensureStream(manager, tasks);
}

/** Makes sure that a bucket exists whose keys expire unless they are written again. */
async function ensureKeyBucket(
  connection: NatsConnection,
  manager: JetStreamManager,
  name: string,
  replicas: number,
  ttlMs: number,
): Promise<void> {
  await new Kvm(connection).create(name, { replicas, history: 1, storage: "file", ttl: ttlMs, markerTTL: ttlMs });
  await adopt(manager, `KV_${name}`, {
    num_replicas: replicas,
    max_age: ttlMs * NANOS_PER_MS,
    subject_delete_marker_ttl: ttlMs * NANOS_PER_MS,
    // Nobody writes there with message ids; but the window may not exceed the age, which may just have shrunk.
    duplicate_window: Math.min(ttlMs, MAX_DUPLICATE_WINDOW_MS) * NANOS_PER_MS,
  });
}

/** Makes sure that a bucket exists whose keys stay until they are removed. */
async function ensureSettingsBucket(
  connection: NatsConnection,
  manager: JetStreamManager,
  name: string,
  replicas: number,
): Promise<void> {
  await new Kvm(connection).create(name, { replicas, history: 1, storage: "file" });
  await adopt(manager, bucketStream(name), { num_replicas: replicas });
}

/** Gives the stream of a bucket these settings: nats.js makes a bucket, but leaves one that exists as it is. */
async function adopt(manager: JetStreamManager, name: string, settings: Partial<StreamConfig>): Promise<void> {
  const { config } = await manager.streams.info(name);
  await ensureStream(manager, { ...config, ...settings, name });
}

/** Makes sure that the consumer of due timers exists. */
export async function ensureTimersConsumer(manager: JetStreamManager): Promise<void> {
  await manager.consumers.add(TIMERS_STREAM, {
    durable_name: TIMERS_CONSUMER,
    ack_policy: "explicit",
    filter_subject: TIMERS_FIRED,
    ack_wait: FEED_ACK_WAIT_NANOS,
    max_ack_pending: 10_000,
    max_waiting: 1_000,
  });
}

async function ensureStream(manager: JetStreamManager, config: NamedConfig): Promise<void> {
  try {
    await manager.streams.add(config);
  } catch (error) {
    // It exists with other settings: an operator changed an option, or this version wants something new.
    if (!isInUse(error) && !(await isReckonedTwice(manager, config.name, error))) throw error;
    await manager.streams.update(config.name, config);
  }
}

/** JetStream looks for the room that a stream takes before it sees that the stream exists, and has taken its room. */
async function isReckonedTwice(manager: JetStreamManager, name: string, error: unknown): Promise<boolean> {
  if (!isNoRoom(error)) return false;
  return await manager.streams.info(name).then(
    () => true,
    () => false,
  );
}

function isInUse(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === STREAM_NAME_IN_USE;
}
