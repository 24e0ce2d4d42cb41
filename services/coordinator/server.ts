// The public port: the services, their interceptors, reflection, health and probes, over gRPC, gRPC-Web and Connect.

import { createRegistry, type DescService } from "@bufbuild/protobuf";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  QuotaFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { ServerReflection as ServerReflectionV1 } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { Health as HealthService } from "../../gen/health/v1/health_pb.ts";
import type { Principal } from "../../lib/core/access/principal.ts";
import type { Logger } from "../../lib/core/logger.ts";
import { type CallGate, endWithPass, passThrough } from "../../lib/rpc/call-gate.ts";
import { createGrpcHandler } from "../../lib/rpc/grpc/grpc-handler.ts";
import { served, type ServedService } from "../../lib/rpc/grpc/grpc-route.ts";
import { createHealth, type Health } from "../../lib/rpc/health/health.ts";
import { withBodyLimits } from "../../lib/rpc/interceptors/body-limits.ts";
import { boundedGzip } from "../../lib/rpc/interceptors/bounded-gzip.ts";
import { Intake } from "../../lib/rpc/interceptors/intake.ts";
import { withLongTimeouts } from "../../lib/rpc/interceptors/call-timeout.ts";
import { withCors } from "../../lib/rpc/interceptors/cors.ts";
import { explainErrors } from "../../lib/rpc/interceptors/error-reasons.ts";
import { withKnownHosts } from "../../lib/rpc/interceptors/known-hosts.ts";
import { withProbes, type Readiness } from "../../lib/rpc/interceptors/probes.ts";
import { withReadableMessages } from "../../lib/rpc/interceptors/status-message.ts";
import { serverTracing } from "../../lib/rpc/interceptors/tracing.ts";
import { unexpectedErrors } from "../../lib/rpc/interceptors/unexpected-error.ts";
import type { ListenerLimits } from "../../lib/rpc/listener/limits.ts";
import { type Listener, openListener } from "../../lib/rpc/listener/listener.ts";
import { type Connection, valuesWithPeer } from "../../lib/rpc/peer.ts";
import { addReflection } from "../../lib/rpc/reflection/reflection.ts";
import { principalIn, setPrincipal } from "./access/principal-values.ts";
import { noteRefusal, auditedCalls } from "./audit/audited-calls.ts";
import { type AuditLog, NO_AUDIT } from "./audit/audit-log.ts";
import { jsonPayloads } from "./interceptors/json-payloads.ts";
import { meshErrors } from "./interceptors/mesh-errors.ts";
import { outageLog } from "./interceptors/outage-log.ts";
import type { RateLimits } from "./limits/rate-limits.ts";
import type { ServerCredentials } from "../../lib/tls/server-credentials.ts";
import type { QuietLog } from "./quiet-log.ts";

/** What is served where. */
export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly corsOrigins: readonly string[];
  /** Names beside localhost by which it may be called where nobody has to say who they are. */
  readonly hosts: readonly string[];
  /** Speaks TLS with these; cleartext if undefined. */
  readonly tls?: ServerCredentials | undefined;
  /** Addresses and ranges that may connect; everybody if left out or empty. */
  readonly allowFrom?: readonly string[];
  /** Lets calls in; all are if undefined. */
  readonly gate: CallGate | undefined;
  /** Who makes the calls of which no gate says who makes them; nobody if undefined, who may do nothing. */
  readonly everybody: Principal | undefined;
  /** How fast callers may come; as they like, if undefined. */
  readonly limits?: Pick<RateLimits, "limited">;
  /** What connections may cost; the listener's own limits where nothing is said. */
  readonly listenerLimits?: Partial<ListenerLimits>;
  /** Is told of calls; if undefined, nobody is. */
  readonly audit?: AuditLog;
  /** The mesh's own services; health and reflection are added. */
  readonly services: readonly ServedService[];
  readonly ready: () => Promise<Readiness>;
  /** Aborts when streams have to end because the coordinator drains. */
  readonly shutdown: AbortSignal;
  readonly logger: Logger;
  readonly quiet: QuietLog;
}

/** The open port and its health. */
export interface Server {
  readonly listener: Listener;
  readonly health: Health;
}

/**
 * As gRPC's own servers have it. A message is decoded before it can be validated, and one of nothing but empty items takes a hundred times
 * its size: a much larger one would take all the memory that a small container has.
 */
const READ_MAX_BYTES = 4 * 1024 * 1024;
/** A task with its input and result, each at most 256 KiB, or a page of a thousand tasks. */
const WRITE_MAX_BYTES = 16 * 1024 * 1024;

/** What reflection shows beside the services: the details that errors carry. */
const DETAILS = createRegistry(
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  QuotaFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
);

/** Opens the port. Throws ListenError. */
export async function openServer(options: ServerOptions): Promise<Server> {
  const { services, logger, audit = NO_AUDIT } = options;
  const described = services.map(({ service }) => service);
  const health = createHealth({ services: described });
  const intake = new Intake();
  const shared = {
    interceptors: [
      serverTracing(),
      unexpectedErrors({
        onUnexpected: (err, { requestId, method }) => {
          logger.error({ err, request_id: requestId, method }, "call failed");
        },
      }),
      meshErrors(outageLog(options.quiet), (error, { method, header, contextValues: values }) =>
        noteRefusal(audit, { method, header, values }, principalIn(values), error),
      ),
      endWithPass(),
      auditedCalls(audit),
      jsonPayloads(),
    ],
    acceptCompression: [boundedGzip()],
    shutdownSignal: options.shutdown,
    readMaxBytes: READ_MAX_BYTES,
    writeMaxBytes: WRITE_MAX_BYTES,
    // Fields of a newer contract are not kept: nothing that this version cannot check is stored.
    binaryOptions: { readUnknownFields: false },
  };
  const gate = options.limits === undefined ? options.gate : options.limits.limited(options.gate);
  const { everybody } = options;
  const valuesAt =
    everybody === undefined
      ? valuesWithPeer
      : (connection: Connection | undefined) => setPrincipal(valuesWithPeer(connection), everybody);
  const direct = createGrpcHandler({
    ...shared,
    makeValues: valuesAt,
    gate,
    services: [...services, served(HealthService, health.implementation)],
    intake,
  });
  const rpc = connectNodeAdapter({
    ...shared,
    routes: (router) => {
      for (const { service, implementation } of services) router.service(service, implementation);
      health.register(router);
      addReflection(router, { services: [...described, HealthService], registry: DETAILS });
    },
    contextValues: (request) => valuesAt("stream" in request ? request.stream.session : request.socket),
    requestGate: (call) => {
      explainErrors(call);
      return gate === undefined ? undefined : passThrough(gate, call);
    },
    jsonOptions: { registry: DETAILS, ignoreUnknownFields: false },
  });
  const bounded = withBodyLimits(withLongTimeouts(withReadableMessages(rpc)), {
    intake,
    clientStreams: clientStreamsOf([...described, ServerReflectionV1, ServerReflectionV1Alpha]),
  });
  const hosted = everybody === undefined ? bounded : withKnownHosts(bounded, options.hosts);
  // Probes tell nothing that is anybody's: balancers call by whatever name they have.
  const probed = withProbes(hosted, { ready: options.ready });
  const handler = withCors(probed, { origins: options.corsOrigins });
  const listener = await openListener({
    host: options.host,
    port: options.port,
    handler,
    direct,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    ...(options.allowFrom === undefined ? {} : { allow: options.allowFrom }),
    ...(options.listenerLimits === undefined ? {} : { limits: options.listenerLimits }),
    onUnexpected: (err) => logger.error({ err }, "connection failed"),
    onRefused: (reason, address) => logger.debug({ reason, address }, "connection refused"),
  });
  return { listener, health };
}

/** The paths of the calls whose clients stream. */
function clientStreamsOf(services: readonly DescService[]): ReadonlySet<string> {
  return new Set(
    services.flatMap(({ typeName, methods }) =>
      methods
        .filter(({ methodKind }) => methodKind === "client_streaming" || methodKind === "bidi_streaming")
        .map(({ name }) => `/${typeName}/${name}`),
    ),
  );
}
