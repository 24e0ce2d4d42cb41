// The coordinator's settings as its parts take them. What may be set, and how, stands in the tables of lib/config/keys.

import { COORDINATOR_KEYS } from "../../lib/config/keys/tables.ts";
import * as audit from "../../lib/config/keys/audit.ts";
import * as coordinator from "../../lib/config/keys/coordinator.ts";
import * as listenerTls from "../../lib/config/keys/listener-tls.ts";
import { listenerTlsOf, natsTlsOf } from "../../lib/config/tls-settings.ts";
import type { NatsTlsOptions } from "../../lib/nats/nats-tls.ts";
import type { ServerTlsOptions } from "../../lib/tls/server-credentials.ts";
import * as credentials from "../../lib/config/keys/credentials.ts";
import * as limits from "../../lib/config/keys/limits.ts";
import * as nats from "../../lib/config/keys/nats.ts";
import * as shared from "../../lib/config/keys/shared.ts";
import type { Key } from "../../lib/config/key.ts";
import { type Environment, readSettings, type Settings } from "../../lib/config/settings.ts";
import type { AuditLevel } from "../../lib/core/audit/level.ts";
import { MAX_WAIT_MS } from "../../lib/core/limits.ts";
import type { ListenerLimits } from "../../lib/rpc/listener/limits.ts";
import type { RateLimitSettings } from "./limits/rate-limits.ts";

/** Everything that an operator can set. */
export interface CoordinatorConfig {
  /** The address to listen on. */
  readonly host: string;
  /** See `host`; port 0 picks a free one. */
  readonly port: number;
  /** The port's TLS; none if undefined. */
  readonly tls: ServerTlsOptions | undefined;
  /** Addresses and ranges that may connect; everybody if empty. */
  readonly allowFrom: readonly string[];
  /** Where NATS is. */
  readonly natsUrls: readonly string[];
  /** The TLS to NATS; as the URLs and the servers have it if undefined. */
  readonly natsTls: NatsTlsOptions | undefined;
  /** The folder of trust; empty if NATS asks nobody who it is. */
  readonly natsTrustDir: string;
  /** Where agents reach NATS, if not by the same URLs. */
  readonly agentNatsUrls: readonly string[];
  /** How many servers keep each message: 1, 3 or 5. */
  readonly replicas: number;
  /** How long the log is kept. */
  readonly retentionMs: number;
  /**
   * The most bytes of each of the task, output and blob streams; -1 for no limit. If unset, what the servers have room for when the streams
   * are made.
   */
  readonly maxBytes: number | undefined;
  /** The lease of a delivery. */
  readonly leaseMs: number;
  /** How long an agent's credential for NATS is good. */
  readonly agentCredentialMs: number;
  /** How often agents say that they live. */
  readonly heartbeatMs: number;
  /** How deep a queue may get. */
  readonly queueDepthLimit: number;
  /** How many queues there may be. */
  readonly maxQueues: number;
  /** The longest start_to_close that a submission may ask for. */
  readonly maxStartToCloseMs: number;
  /** The folder for what can be rebuilt; in memory if empty. */
  readonly dataDir: string;
  /** How long running calls may go on after SIGTERM. */
  readonly drainMs: number;
  /** Origins that browsers may call from, or `*`. */
  readonly corsOrigins: readonly string[];
  /** Names beside localhost by which an open coordinator may be called. */
  readonly hosts: readonly string[];
  /** What webhooks may reach beyond public addresses: ranges, addresses and names. */
  readonly outboundAllow: readonly string[];
  /** The policy's file; only the built-in roles, bound to nobody, if undefined. */
  readonly policyFile: string | undefined;
  readonly logLevel: string;
  /** What connections may cost. */
  readonly listenerLimits: Partial<ListenerLimits>;
  /** How fast callers may come. */
  readonly rateLimits: RateLimitSettings;
  /** What the audit log records. */
  readonly auditLevel: AuditLevel;
  /** How long the audit log is kept. */
  readonly auditRetentionMs: number;
  /** The most bytes of the audit log; -1 for no limit. If unset, an eighth of `maxBytes`. */
  readonly auditMaxBytes: number | undefined;
  /** The tenant that also sees what belongs to no tenant. */
  readonly operatorTenant: string;
}

/** Reads the settings from the environment alone. Throws ConfigError. */
export function readConfig(env: Environment): CoordinatorConfig {
  return configOf(readSettings({ keys: COORDINATOR_KEYS, env }));
}

/** The settings as the coordinator's parts take them. */
export function configOf(settings: Settings): CoordinatorConfig {
  const natsUrls = settings.get(nats.urls);
  const agentNatsUrls = settings.get(nats.agentUrls);
  return {
    ...settings.get(coordinator.listen),
    tls: listenerTlsOf(settings),
    allowFrom: settings.get(listenerTls.allowFrom),
    natsUrls,
    natsTls: natsTlsOf(settings),
    natsTrustDir: settings.get(nats.trustDir) ?? "",
    agentNatsUrls: agentNatsUrls.length === 0 ? natsUrls : agentNatsUrls,
    replicas: settings.get(nats.replicas),
    retentionMs: settings.get(nats.retentionMs),
    maxBytes: settings.get(nats.maxBytes),
    leaseMs: settings.get(coordinator.leaseMs),
    agentCredentialMs: settings.get(nats.agentCredentialMs),
    heartbeatMs: settings.get(coordinator.heartbeatMs),
    queueDepthLimit: settings.get(coordinator.queueDepthLimit),
    maxQueues: settings.get(coordinator.maxQueues),
    maxStartToCloseMs: settings.get(coordinator.maxStartToCloseMs),
    dataDir: settings.get(coordinator.dataDir) ?? "",
    drainMs: settings.get(coordinator.drainMs),
    corsOrigins: settings.get(coordinator.corsOrigins),
    hosts: settings.get(coordinator.hosts),
    outboundAllow: settings.get(shared.outboundAllow),
    policyFile: settings.get(credentials.policyFile),
    logLevel: settings.get(shared.logLevel),
    listenerLimits: listenerLimitsIn(settings),
    rateLimits: rateLimitsIn(settings),
    auditLevel: settings.get(audit.level),
    auditRetentionMs: settings.get(audit.retentionMs),
    auditMaxBytes: settings.get(audit.maxBytes),
    operatorTenant: settings.get(audit.operatorTenant),
  };
}

function listenerLimitsIn(settings: Settings): Partial<ListenerLimits> {
  const maxConnectionsPerPeer = settings.get(limits.maxConnectionsPerAddress);
  return {
    maxConnections: settings.get(limits.maxConnections),
    ...(maxConnectionsPerPeer === undefined ? {} : { maxConnectionsPerPeer }),
    maxConcurrentStreams: settings.get(limits.maxStreams),
    maxHeaderBytes: settings.get(limits.maxHeaderBytes),
    idleTimeoutMs: settings.get(limits.idleTimeoutMs),
    sendTimeoutMs: settings.get(limits.sendTimeoutMs),
    maxUnsentBytes: settings.get(limits.maxUnsentBytes),
  };
}

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|::1)$/;

/** Where only this machine comes in, limits are off unless they are asked for. */
function rateLimitsIn(settings: Settings): RateLimitSettings {
  const mode = settings.get(limits.rates);
  const areOn = mode === "on" || (mode === "auto" && !LOOPBACK.test(settings.get(coordinator.listen).host));
  const limit = (key: Key<number>): number => (areOn ? settings.get(key) : 0);
  return {
    requestsPerAddress: limit(limits.requestsPerAddress),
    badCredentialsPerAddress: limit(limits.badCredentialsPerAddress),
    tasksPerPrincipal: limit(limits.tasksPerPrincipal),
    tasksPerTenant: limit(limits.tasksPerTenant),
    trustedProxies: settings.get(limits.trustedProxies),
  };
}

/** The longest wait that a submission may ask for: it must end before its log does. */
export function maxWaitMsOf(config: CoordinatorConfig): number {
  return Math.min(MAX_WAIT_MS, Math.floor((config.retentionMs * 6) / 7));
}

/** How long an agent stays registered without a heartbeat. */
export function agentTtlMsOf(config: CoordinatorConfig): number {
  return Math.max(config.heartbeatMs * 6, 2_000);
}
