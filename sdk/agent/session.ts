// Owns registration: asks a coordinator for a session, patiently, and turns the answer into plain values.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AgentSession } from "../../gen/mycel/v1/agent_pb.ts";
import type { RegisterAgentRequestSchema, RegisterAgentResponse } from "../../gen/mycel/v1/agent_service_pb.ts";
import { DEFAULT_LEASE_MS } from "../../lib/core/limits.ts";
import type { Logger } from "../../lib/core/logger.ts";
import { msFromDuration, msFromTimestamp } from "../../lib/wire/time-codec.ts";
import { AgentError } from "./agent-error.ts";
import type { AgentCredential } from "./agent-key.ts";
import { callErrorLine, type Coordinators, isFinal } from "./coordinators.ts";
import type { AgentDefinition } from "./define.ts";
import { pause } from "../../lib/time/pause.ts";
import type { LaneFacts } from "./puller.ts";

/** What an agent needs to pull work and to report. */
export interface Session {
  readonly agentId: string;
  readonly natsUrls: readonly string[];
  readonly lanes: readonly LaneFacts[];
  readonly inboxPrefix: string;
  readonly reportSubject: string;
  readonly heartbeatSubject: string;
  readonly signalSubject: string;
  /** With `{task_id}` and `{attempt}`. */
  readonly outputTemplate: string;
  readonly leaseMs: number;
  readonly heartbeatIntervalMs: number;
  /** When the session was given, by the mesh's clock, in milliseconds since 1970; Infinity if that was not said. */
  readonly createMs: number;
  /** What to log in to NATS with; undefined where the broker asks for nothing. */
  readonly credential: AgentCredential | undefined;
}

/** How to register. */
export interface RegisterOptions {
  /** Empty lets the mesh choose. */
  readonly agentId: string;
  /** The public part of the agent's key. */
  readonly publicKey: string;
  /** How long to try; Infinity tries until the signal. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

const FIRST_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 5_000;
const CALL_TIMEOUT_MS = 10_000;
const DEFAULT_HEARTBEAT_MS = 5_000;

/**
 * Registers the agent. Coordinators that do not answer are tried in turn, with growing pauses. Throws {@link AgentError}
 * COORDINATOR_UNREACHABLE after `timeoutMs`, REGISTRATION_REFUSED when a coordinator says no for good, ABORTED on the signal.
 */
export async function register(
  coordinators: Coordinators,
  definition: AgentDefinition,
  options: RegisterOptions,
): Promise<Session> {
  const { timeoutMs, signal, logger } = options;
  const startedMs = performance.now();
  const request = requestOf(definition, options);
  for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS)) {
    const { url } = coordinators;
    try {
      const leftMs = timeoutMs - (performance.now() - startedMs);
      // gRPC says whole milliseconds only, and servers refuse others.
      const callMs = Math.max(1, Math.ceil(Math.min(CALL_TIMEOUT_MS, leftMs)));
      const askedMs = performance.now();
      return sessionOf(await coordinators.agents().registerAgent(request, { signal, timeoutMs: callMs }), askedMs);
    } catch (error) {
      if (signal.aborted) throw new AgentError("ABORTED", "stopped before the agent was registered", { cause: error });
      if (error instanceof AgentError) throw error;
      if (isFinal(error)) {
        throw new AgentError("REGISTRATION_REFUSED", `${url} refused the agent: ${callErrorLine(error)}`, {
          cause: error,
        });
      }
      const waitMs = backoffMs * (0.5 + Math.random() / 2);
      if (performance.now() - startedMs + waitMs >= timeoutMs) {
        const line = `no coordinator answers at ${url}: ${callErrorLine(error)}`;
        throw new AgentError("COORDINATOR_UNREACHABLE", line, { cause: error });
      }
      logger.warn(
        { url, reason: callErrorLine(error), wait_ms: Math.round(waitMs) },
        "coordinator not reachable, trying again",
      );
      coordinators.leave(url);
      await pause(waitMs, signal);
    }
  }
}

function requestOf(
  definition: AgentDefinition,
  { agentId, publicKey }: Pick<RegisterOptions, "agentId" | "publicKey">,
): MessageInitShape<typeof RegisterAgentRequestSchema> {
  const capabilities = [...definition.capabilities].map(([type, { queue, description }]) => ({
    type,
    queue: queue ?? "",
    description: description ?? "",
  }));
  const { name, version, concurrency, labels } = definition;
  return { agentId, name, version, capabilities, concurrency, labels: { ...labels }, publicKey };
}

function sessionOf({ agent, session }: RegisterAgentResponse, askedMs: number): Session {
  if (agent === undefined || session === undefined || session.natsUrls.length === 0 || session.reportSubject === "") {
    throw new AgentError(
      "REGISTRATION_REFUSED",
      "the coordinator's answer carries no session: is it a Mycel coordinator?",
    );
  }
  return {
    agentId: agent.agentId,
    natsUrls: session.natsUrls,
    lanes: lanesOf(session),
    inboxPrefix: session.inboxPrefix,
    reportSubject: session.reportSubject,
    heartbeatSubject: session.heartbeatSubject,
    signalSubject: session.signalSubject,
    outputTemplate: session.outputSubjectTemplate,
    leaseMs: msFromDuration(session.leaseDuration) ?? DEFAULT_LEASE_MS,
    heartbeatIntervalMs: msFromDuration(session.heartbeatInterval) ?? DEFAULT_HEARTBEAT_MS,
    createMs: msFromTimestamp(session.createTime) ?? Number.POSITIVE_INFINITY,
    credential: credentialOf(session, askedMs),
  };
}

/** The mesh's clock is not this machine's: for how long a credential is good counts from the moment in which it was asked for. */
function credentialOf(
  { credential: jwt, credentialExpireTime, createTime }: AgentSession,
  askedMs: number,
): AgentCredential | undefined {
  if (jwt === "") return undefined;
  const [expireMs, createMs] = [msFromTimestamp(credentialExpireTime), msFromTimestamp(createTime)];
  const lifetimeMs =
    expireMs === undefined || createMs === undefined ? Number.POSITIVE_INFINITY : Math.max(0, expireMs - createMs);
  return { jwt, lifetimeMs, endsMs: askedMs + lifetimeMs };
}

function lanesOf(session: AgentSession): LaneFacts[] {
  return session.lanes.map(({ queue, priority, stream, consumer, createTime }) => ({
    queue,
    priority,
    stream,
    consumer,
    // Without a time, nothing is known to be fresh.
    createMs: msFromTimestamp(createTime) ?? Number.POSITIVE_INFINITY,
  }));
}
