// One coordinator, put together: everything that a replica is, from a configuration to an open port, and back in order.

import { hostname } from "node:os";
import process from "node:process";
import type { ServiceImpl } from "@connectrpc/connect";
import { nuid } from "@nats-io/nats-core";
import { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import { AuditService } from "../../gen/mycel/v1/audit_service_pb.ts";
import { BlobService } from "../../gen/mycel/v1/blob_service_pb.ts";
import { KeyService } from "../../gen/mycel/v1/key_service_pb.ts";
import { MetricsService } from "../../gen/mycel/v1/metrics_service_pb.ts";
import { QueueService } from "../../gen/mycel/v1/queue_service_pb.ts";
import { WebhookService } from "../../gen/mycel/v1/webhook_service_pb.ts";
import type { Logger } from "../../lib/core/logger.ts";
import { MeshError } from "../../lib/core/mesh-error.ts";
import { AgentRequests } from "../../lib/nats/agent-requests.ts";
import { BlobStore } from "../../lib/nats/blobs.ts";
import { AuditStream } from "../../lib/nats/audit-log.ts";
import { openBrokerClock } from "../../lib/nats/broker-clock.ts";
import { openNats } from "../../lib/nats/connection.ts";
import { DirectReader } from "../../lib/nats/direct-reader.ts";
import { EventReader } from "../../lib/nats/event-reader.ts";
import { LaneWatch } from "../../lib/nats/lane-deliveries.ts";
import { LanePauses } from "../../lib/nats/lane-pauses.ts";
import { LaneStates } from "../../lib/nats/lane-states.ts";
import { Lanes } from "../../lib/nats/lanes.ts";
import { LiveHub } from "../../lib/nats/live-hub.ts";
import { LogRoom } from "../../lib/nats/log-room.ts";
import { OutputLog } from "../../lib/nats/output-log.ts";
import { QueueSettings } from "../../lib/nats/queue-settings.ts";
import { Registry } from "../../lib/nats/registry.ts";
import { StreamPublisher } from "../../lib/nats/stream-publisher.ts";
import { TaskLog } from "../../lib/nats/task-log.ts";
import { openTenantFeed } from "../../lib/nats/tenant-feed.ts";
import { Timers } from "../../lib/nats/timers.ts";
import { ensureTopology } from "../../lib/nats/topology.ts";
import { createOutbound } from "../../lib/outbound/outbound.ts";
import { served } from "../../lib/rpc/grpc/grpc-route.ts";
import { openBusTrust } from "../../lib/nats/trust/bus-trust.ts";
import { isLoopbackUrl } from "../../lib/nats/trust/loopback-url.ts";
import { readCoordinatorTrust } from "../../lib/nats/trust/trust-folder.ts";
import { openServerCredentials } from "../../lib/tls/server-credentials.ts";
import { WriteRingWriter, writeRingMemory } from "../../lib/nats/write-ring.ts";
import { LeaseTokens } from "../../lib/wire/lease-token.ts";
import { cleartextWarnings } from "./access/cleartext.ts";
import { type CredentialSettings, openCredentials } from "./access/credentials.ts";
import { checkOpen, openEntrance } from "./access/entrance.ts";
import { openLivePolicy } from "./access/live-policy.ts";
import { OPEN_PRINCIPAL } from "./access/principal-values.ts";
import { openAgentAccess } from "./agents/agent-access.ts";
import { Fleet } from "./agents/fleet.ts";
import { AuditReader } from "./audit/audit-reader.ts";
import { auditedDecisions, noteRefusal } from "./audit/audited-calls.ts";
import { StoredAuditLog } from "./audit/stored-audit-log.ts";
import { agentTtlMsOf, type CoordinatorConfig, maxWaitMsOf } from "./config.ts";
import { openThreadedIndex } from "./index/threaded-index.ts";
import { rpcErrorOf } from "./interceptors/mesh-errors.ts";
import { createRateLimits } from "./limits/rate-limits.ts";
import { quietLog } from "./quiet-log.ts";
import { createReadiness } from "./readiness.ts";
import { openPauseFollower } from "./queues/pause-follower.ts";
import { QueueBoard } from "./queues/queue-board.ts";
import { openDelayedSubmissions } from "./reactors/delayed-submissions.ts";
import { openDueTimers } from "./reactors/due-timers.ts";
import { ReportDesk } from "./reports/report-desk.ts";
import { openResultStreams } from "./results/stream-results.ts";
import { agentRpcs } from "./rpc/agents.ts";
import { auditRpcs } from "./rpc/audit.ts";
import { blobRpcs } from "./rpc/blobs.ts";
import { keyRpcs } from "./rpc/keys.ts";
import { listRpcs } from "./rpc/lists.ts";
import { metricRpcs } from "./rpc/metrics.ts";
import { queueRpcs } from "./rpc/queues.ts";
import { resultRpcs } from "./rpc/results.ts";
import { runRpcs } from "./rpc/run.ts";
import { streamTokenRpcs } from "./rpc/stream-tokens.ts";
import { submissionRpcs } from "./rpc/submissions.ts";
import { taskRpcs } from "./rpc/tasks.ts";
import { watchTasksRpcs } from "./rpc/watch-tasks.ts";
import { webhookRpcs } from "./rpc/webhooks.ts";
import { openServer } from "./server.ts";
import { BulkSubmitter } from "./submission/bulk.ts";
import { HOLD_MS } from "./submission/outage-hold.ts";
import { Submitter } from "./submission/submitter.ts";
import { createExplainer } from "./tasks/explainer.ts";
import { SYSTEM_CLOCK } from "./system-clock.ts";
import { Lifecycle } from "./tasks/lifecycle.ts";
import { readDefinition } from "./tasks/task-definition.ts";
import { TaskWatches } from "./watch/task-watches.ts";
import { openWebhooks } from "./webhooks/webhooks.ts";

/** What a coordinator needs. */
export interface CoordinatorOptions {
  readonly config: CoordinatorConfig;
  /** By what callers show who they are. Without any of it, and without a policy, nobody is asked. */
  readonly credentials?: CredentialSettings;
  readonly logger: Logger;
}

/** A running coordinator. Disposing it drains it: calls at hand are finished within the configured time. */
export interface Coordinator extends AsyncDisposable {
  /** Where it listens. */
  readonly url: string;
}

/** Opens a coordinator. Throws NatsUnavailableError and ListenError; whatever was opened before is closed then. */
export async function openCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const stack = new AsyncDisposableStack();
  try {
    return await open(options, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function open(options: CoordinatorOptions, stack: AsyncDisposableStack): Promise<Coordinator> {
  const { config, logger } = options;
  const isOpen = !asksWhoCalls(options);
  if (isOpen) checkOpen(config.host);
  const quiet = quietLog(logger, SYSTEM_CLOCK);
  const tls = config.tls === undefined ? undefined : stack.use(await openServerCredentials(config.tls, logger));
  const trust = config.natsTrustDir === "" ? undefined : await readCoordinatorTrust(config.natsTrustDir);
  const nats = {
    servers: config.natsUrls,
    tls: config.natsTls,
    credentialsFile: trust?.credentialsFile,
    name: "mycel coordinator",
    onThrown: (err: unknown) => quiet({ err }, "message of NATS not taken"),
    onRefused: (err: unknown) => quiet({ err }, "refused by NATS"),
  };
  const connection = stack.adopt(await openNats(nats), (opened) => opened.drain().catch(() => undefined));
  const topology = {
    replicas: config.replicas,
    retentionMs: config.retentionMs,
    maxBytes: config.maxBytes,
    agentTtlMs: agentTtlMsOf(config),
    credentialMs: config.agentCredentialMs,
    auditRetentionMs: config.auditRetentionMs,
    auditMaxBytes: config.auditMaxBytes,
  };
  const manager = await ensureTopology(connection, topology, (err) => {
    logger.warn({ err }, "JetStream is not ready; trying again");
  });
  const clock = stack.use(
    await openBrokerClock({
      manager,
      local: SYSTEM_CLOCK,
      onWallOff: (aheadMs) => {
        logger.warn({ wall_ahead_ms: aheadMs }, "this machine's clock is off; the broker's is gone by");
      },
      onTrouble: (err) => logger.debug({ err }, "the broker's clock was not read; trying again"),
    }),
  );

  const holderId = `${hostname()}-${process.pid}`;
  const writes = writeRingMemory();
  // It starts while the rest is opened.
  const index = stack.use(openThreadedIndex({ connection, config, holderId, writes, logger }));
  const stored = new WriteRingWriter(writes, () => clock.now());
  const publisher = new StreamPublisher(connection, { onStored: (messages, last) => stored.stored(messages, last) });
  const reader = stack.use(new DirectReader(connection));
  const auditStream = new AuditStream({ connection, manager, publisher: new StreamPublisher(connection), reader });
  const log = new TaskLog({ connection, manager, publisher, reader });
  const outputs = new OutputLog({ connection, publisher, reader });
  const timers = new Timers(publisher);
  const settings = stack.use(
    await QueueSettings.open(connection, {
      onError: (err) => logger.warn({ err }, "watch of the queues' settings broke; watching again"),
      onGarbage: (key) => quiet({ key }, "settings of a queue can't be read"),
    }),
  );
  const pauses = new LanePauses({ connection, manager, settings, now: () => clock.now() });
  const lanes = new Lanes(
    { connection, manager, pauses },
    { leaseMs: config.leaseMs, depthLimit: config.queueDepthLimit, maxQueues: config.maxQueues },
    () => clock.monotonicMs(),
  );
  stack.use(openPauseFollower({ settings, pauses, logger }));
  const logRoom = new LogRoom({ connection, manager }, () => clock.monotonicMs());
  const audit = stack.use(
    new StoredAuditLog({
      stream: auditStream,
      level: config.auditLevel,
      clock,
      logger,
      holderId,
      randomId: () => nuid.next(),
    }),
  );
  const tokens = trust === undefined ? undefined : new LeaseTokens(trust.agentsSigning.seed);
  const lifecycle = new Lifecycle({ connection, log, outputs, timers, lanes, clock, logger, tokens });
  const limits = { maxStartToCloseMs: config.maxStartToCloseMs, maxWaitMs: maxWaitMsOf(config) };
  const randomId = (): string => nuid.next();
  const eventReader = new EventReader({ connection, reader });
  const outbound = createOutbound({ allowPrivate: config.outboundAllow });
  const webhooks = stack.use(
    await openWebhooks({
      connection,
      manager,
      publisher,
      reader,
      taskLog: log,
      eventReader,
      outbound,
      clock,
      random: Math.random,
      randomId,
      holderId,
      logger,
    }),
  );
  const submitter = new Submitter({
    log,
    lanes,
    logRoom,
    timers,
    hook: (tenant, taskId, webhook) => webhooks.hook(tenant, taskId, webhook),
    clock,
    randomId,
    limits,
    holdMs: HOLD_MS,
    tokens,
  });
  const bulk = new BulkSubmitter({ submitter, log, clock, limits });

  const registry = stack.use(
    await Registry.open(connection, {
      onError: (err) => logger.warn({ err }, "watch of the registry broke; watching again"),
      onGarbage: (key) => quiet({ key }, "entry of the registry can't be read"),
    }),
  );
  const bus =
    trust === undefined
      ? undefined
      : stack.use(
          openBusTrust({
            trust,
            connection,
            servers: config.natsUrls,
            tls: config.natsTls,
            clock,
            onTrouble: (err) => quiet({ err }, "the servers were not told which credentials are revoked; trying again"),
          }),
        );
  if (bus === undefined && !config.natsUrls.every(isLoopbackUrl))
    logger.warn(
      { nats: config.natsUrls.join(",") },
      "anybody who reaches NATS may do everything there: MYCEL_NATS_TRUST is not set",
    );
  const access = stack.use(
    await openAgentAccess({
      connection,
      registry,
      trust: bus,
      credentialMs: config.agentCredentialMs,
      index,
      log,
      lifecycle,
      lanes: new LaneWatch({ connection, manager, reader }),
      clock,
      logger,
    }),
  );
  const { revocations } = access;
  const fleet = stack.use(
    new Fleet({
      registry,
      lanes,
      clock,
      logger,
      credentials: access.credentials,
      revocations,
      randomId: () => nuid.next().slice(-8),
      natsUrls: config.agentNatsUrls,
      leaseMs: config.leaseMs,
      heartbeatMs: config.heartbeatMs,
    }),
  );
  const desk = new ReportDesk({
    connection,
    log,
    outputs,
    timers,
    lifecycle,
    clock,
    random: Math.random,
    logger,
    isShutOut: (from) => revocations.isShutOut(from),
    tokens,
    serves: (from, consumer) => fleet.serves(from, consumer),
  });
  stack.use(
    new AgentRequests(connection, {
      report: (from, request) => desk.answer(from, request),
      heartbeat: (from, request) => fleet.heartbeat(from, request),
      onGarbage: (why, subject) => quiet({ why, subject: subject.slice(0, 200) }, "request of an agent dropped"),
      onError: (err) => logger.error({ err }, "request of an agent not answered"),
    }),
  );
  stack.use(openDueTimers({ connection, manager, log, timers, lifecycle, clock, random: Math.random, logger }));
  stack.use(await openDelayedSubmissions({ connection, manager, timers, clock, logger }));

  const policy = stack.use(await openLivePolicy({ file: config.policyFile, logger }));
  stack.defer(policy.onChange(() => audit.note({ method: "policy.changed" })));
  const credentials = stack.use(
    await openCredentials({
      ...options.credentials,
      connection,
      policy,
      readTask: (tenant, taskId) => readDefinition(lifecycle, tenant, taskId),
      clock: SYSTEM_CLOCK,
      logger,
      quiet,
      onKeyEnded: ({ tenant, keyId }) => {
        fleet.revokePrincipal({ kind: "key", id: keyId, tenant }).catch((err: unknown) => {
          logger.error({ err, key_id: keyId }, "agents of a revoked key not shut out; their credentials will end");
        });
      },
    }),
  );

  const draining = new AbortController();
  const streams = stack.use(
    openResultStreams({
      taskLog: log,
      eventReader,
      outputLog: outputs,
      hub: stack.use(new LiveHub(connection)),
      clock,
      drain: draining.signal,
    }),
  );
  const states = new LaneStates({ connection, manager, reader });
  const board = new QueueBoard({ states, settings, registry, clock });
  const { leaseMs } = config;
  const explainTask = createExplainer({ lifecycle, states, settings, registry, index, clock, leaseMs });
  const watches = new TaskWatches({
    openFeed: (tenant, listener) => openTenantFeed({ connection, reader, tenant, listener }),
    clock,
    drain: draining.signal,
  });
  const rateLimits = createRateLimits(config.rateLimits, ({ method, requestHeader: header, values }, refusal) =>
    noteRefusal(audit, { method, header, values }, undefined, refusal),
  );
  const agentService: ServiceImpl<typeof AgentService> = {
    ...agentRpcs({ fleet, registry, draining: draining.signal }),
    ...submissionRpcs({ submitter, bulk, lifecycle, admitTasks: rateLimits.admitTasks }),
    ...taskRpcs({ lifecycle, waitForStatus: streams.waitForStatus, explainTask }),
    ...listRpcs({ index }),
    ...resultRpcs(streams),
    ...runRpcs({ submitter, listenToNew: streams.listenToNew, admitTasks: rateLimits.admitTasks }),
    ...watchTasksRpcs({ watches }),
    ...streamTokenRpcs({ desk: credentials.streamTokenDesk }),
  };
  const entrance = isOpen
    ? undefined
    : stack.use(
        openEntrance({
          policy,
          authenticators: credentials.authenticators,
          clock: SYSTEM_CLOCK,
          onDecision: auditedDecisions(audit),
          quiet,
        }),
      );
  await index.opened;
  const { listener, health } = await openServer({
    host: config.host,
    port: config.port,
    corsOrigins: config.corsOrigins,
    hosts: config.hosts,
    tls,
    allowFrom: config.allowFrom,
    gate: entrance?.gate,
    everybody: isOpen ? OPEN_PRINCIPAL : undefined,
    limits: rateLimits,
    listenerLimits: config.listenerLimits,
    audit,
    services: [
      served(AgentService, agentService),
      served(
        AuditService,
        auditRpcs({
          reader: new AuditReader({ stream: auditStream, clock }),
          operatorTenant: config.operatorTenant,
          draining: draining.signal,
        }),
      ),
      served(BlobService, blobRpcs({ blobs: new BlobStore({ connection, reader }) })),
      served(KeyService, keyRpcs({ desk: credentials.keyDesk })),
      served(MetricsService, metricRpcs({ index, draining: draining.signal })),
      served(QueueService, queueRpcs({ board, settings, pauses, index, lifecycle, clock })),
      served(WebhookService, webhookRpcs({ webhooks, outbound })),
    ],
    ready: createReadiness({ connection, clock, draining: draining.signal }),
    shutdown: draining.signal,
    logger,
    quiet,
  });
  stack.defer(async () => {
    // Balancers look first, streams move to another replica next, then what is left gets its time.
    health.drain();
    draining.abort(rpcErrorOf(new MeshError("DRAINING", "the coordinator is shutting down", { retryDelayMs: 100 })));
    await listener.drain(config.drainMs);
  });
  if (isOpen) {
    // What a name stands for is known by now.
    checkOpen(listener.address.host);
    logger.warn(
      { url: listener.url },
      "THIS MESH IS OPEN: everybody on this machine may do everything in it; MYCEL_ADMIN_KEY, MYCEL_JWT_ISSUER or MYCEL_POLICY has it ask who calls",
    );
  }
  const { natsUrls, natsTls } = config;
  const exposure = { host: listener.address.host, tls: tls !== undefined, natsUrls, natsTls: natsTls !== undefined };
  for (const warning of cleartextWarnings(exposure)) logger.warn({ url: listener.url }, warning);
  return { url: listener.url, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Whether anything is set by which callers show who they are, or what they may do. */
function asksWhoCalls({ config, credentials }: CoordinatorOptions): boolean {
  return config.policyFile !== undefined || credentials?.operatorKey !== undefined || credentials?.jwt !== undefined;
}
