// Owns a running agent's life: registers it, connects it, keeps it registered by heartbeats, and drains it. The work is workshop.ts.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { HeartbeatRequestSchema, HeartbeatResponseSchema } from "../../gen/mycel/v1/agent_protocol_pb.ts";
import type { Clock } from "../../lib/core/clock.ts";
import { type AgentError, lineOf } from "./agent-error.ts";
import { AgentKey } from "./agent-key.ts";
import { createBlobs } from "./blobs.ts";
import { callErrorLine, type Coordinators, createCoordinators } from "./coordinators.ts";
import type { AgentDefinition } from "./define.ts";
import { type Link, openLink } from "./link.ts";
import { type ResolvedOptions, resolveOptions, type RunAgentOptions } from "./options.ts";
import { containRejections, onStopSignal } from "./process-hooks.ts";
import { pause } from "../../lib/time/pause.ts";
import { Registration } from "./registration.ts";
import { register, type Session } from "./session.ts";
import { Workshop, type WorkStats } from "./workshop.ts";

/** What an agent does, and has done since its start. */
export interface AgentStats extends WorkStats {
  readonly state: "active" | "draining" | "stopped";
  /** Whether the connection to NATS stands. */
  readonly connected: boolean;
}

/** A running agent. Disposing it drains it. */
export interface RunningAgent extends AsyncDisposable {
  /** Its id in the mesh. */
  readonly agentId: string;
  /**
   * Takes no more work, lets handlers finish within `graceMs` (the `drainGraceMs` of the options if left out), hands the rest back
   * without spending their attempts, deregisters and disconnects. Resolves when all is done. Safe to repeat.
   */
  drain(options?: { readonly graceMs?: number }): Promise<void>;
  /** What it does, and has done. */
  stats(): AgentStats;
  /** Resolves when the agent has stopped. */
  readonly done: Promise<void>;
  /** Why the mesh does not let it in any more, if it stops, or has stopped, because of that: it was revoked. */
  readonly refusal: AgentError | undefined;
}

const SYSTEM_CLOCK: Clock = { now: () => Date.now(), monotonicMs: () => performance.now() };
// How long reports may still be on their way once no handler runs.
const SETTLE_GRACE_MS = 5_000;
const DEREGISTER_TIMEOUT_MS = 2_000;
// With more of its credential's time left than this, a connection is not replaced when the agent happens to register again.
const FRESH = 0.75;

/**
 * Runs an agent: registers it, pulls work and runs handlers until it is drained. Resolves once it takes work. Throws
 * {@link AgentError}: INVALID_OPTION, COORDINATOR_UNREACHABLE, REGISTRATION_REFUSED, NATS_UNREACHABLE, ABORTED.
 */
export async function runAgent(definition: AgentDefinition, options: RunAgentOptions): Promise<RunningAgent> {
  const settings = resolveOptions(options);
  const coordinators = createCoordinators(settings.urls, settings.access, settings.interceptors);
  try {
    const { agentId, connectTimeoutMs: timeoutMs, logger } = settings;
    const signal = settings.signal ?? new AbortController().signal;
    const key = new AgentKey();
    const { publicKey } = key;
    const session = await register(coordinators, definition, { agentId, publicKey, timeoutMs, signal, logger });
    let runner: Runner | undefined;
    const link = await openLink({
      urls: session.natsUrls,
      tls: settings.natsTls(session.natsUrls),
      inboxPrefix: session.inboxPrefix,
      name: `mycel agent ${session.agentId}`,
      connectTimeoutMs: timeoutMs,
      signal,
      logger,
      key,
      credential: session.credential,
      onDelivery: (msg) => runner?.work.onDelivery(msg),
      onPullStatus: (token, status) => runner?.work.onPullStatus(token, status),
      onConnection: (connected, same) => runner?.onConnection(connected, same),
      onNotLetIn: () => runner?.onNotLetIn(),
    });
    runner = new Runner({ definition, settings, coordinators, session, link, publicKey });
    return runner;
  } catch (error) {
    coordinators.close();
    throw error;
  }
}

interface RunnerParts {
  readonly definition: AgentDefinition;
  readonly settings: ResolvedOptions;
  readonly coordinators: Coordinators;
  readonly session: Session;
  readonly link: Link;
  readonly publicKey: string;
}

class Runner implements RunningAgent {
  readonly agentId: string;
  readonly done: Promise<void>;
  readonly work: Workshop;
  readonly #settings: ResolvedOptions;
  readonly #coordinators: Coordinators;
  readonly #link: Link;
  readonly #stopping = new AbortController();
  readonly #cleanups: (() => void)[] = [];
  readonly #finished: () => void;
  readonly #registration: Registration;
  #session: Session;
  #signals: { unsubscribe(): void };
  #state: AgentStats["state"] = "active";
  #refusal: AgentError | undefined;
  #draining: Promise<void> | undefined;

  constructor({ definition, settings, coordinators, session, link, publicKey }: RunnerParts) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.agentId = session.agentId;
    this.done = promise;
    this.#finished = resolve;
    this.#settings = settings;
    this.#coordinators = coordinators;
    this.#session = session;
    this.#link = link;
    this.work = new Workshop({
      definition,
      settings,
      session,
      link,
      blobs: createBlobs(coordinators),
      clock: SYSTEM_CLOCK,
      logger: settings.logger,
      onLaneMissing: () => this.#registerAgain("a consumer is missing"),
    });
    const { logger } = settings;
    const { signal } = this.#stopping;
    const { agentId } = this;
    this.#registration = new Registration({
      agentId,
      session,
      register: () =>
        register(coordinators, definition, {
          agentId,
          publicKey,
          timeoutMs: Number.POSITIVE_INFINITY,
          signal,
          logger,
        }),
      onSession: (renewed) => this.#renew(renewed),
      onRevoked: (error) => this.#revoked(error),
      signal,
      logger,
    });
    this.#signals = this.#listen(session.signalSubject);
    if (settings.handleSignals) this.#cleanups.push(onStopSignal(() => void this.drain(), settings.logger));
    if (settings.containRejections) this.#cleanups.push(containRejections(settings.logger));
    this.#drainOn(settings.signal);
    void this.#heartbeats();
    settings.logger.info({ agent_id: this.agentId, lanes: session.lanes.length }, "agent takes work");
  }

  get refusal(): AgentError | undefined {
    return this.#refusal;
  }

  stats(): AgentStats {
    return { state: this.#state, connected: this.#link.connected, ...this.work.stats() };
  }

  onConnection(connected: boolean, same: boolean): void {
    this.#settings.logger.info(
      { agent_id: this.agentId },
      connected ? "connected to NATS again" : "connection to NATS lost",
    );
    this.work.onConnection(connected, same);
    // The registration may have lapsed meanwhile: ask at once, not with the next heartbeat.
    if (connected) void this.#heartbeat();
  }

  onNotLetIn(): void {
    void this.#registration.again("NATS does not let the agent in");
  }

  drain(options: { readonly graceMs?: number } = {}): Promise<void> {
    this.#draining ??= this.#drain(options.graceMs ?? this.#settings.drainGraceMs);
    return this.#draining;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain();
  }

  async #drain(graceMs: number): Promise<void> {
    const { logger } = this.#settings;
    this.#state = "draining";
    await this.work.stop();
    void this.#heartbeat();
    if (!(await this.work.whenIdle(graceMs))) this.work.handBackRunning();
    // Of an agent that was revoked, nobody takes a report any more.
    const settled = await this.work.whenSettled(this.#refusal === undefined ? SETTLE_GRACE_MS : 0);
    if (!settled) logger.warn({ agent_id: this.agentId, ...this.work.stats() }, "stopped with reports unanswered");
    this.#stopping.abort();
    this.work.close();
    await this.#deregister();
    await this.#link.close();
    this.#coordinators.close();
    for (const clean of this.#cleanups) clean();
    this.#state = "stopped";
    logger.info({ agent_id: this.agentId }, "agent stopped");
    this.#finished();
  }

  async #deregister(): Promise<void> {
    try {
      await this.#coordinators
        .agents()
        .deregisterAgent({ agentId: this.agentId }, { timeoutMs: DEREGISTER_TIMEOUT_MS });
    } catch (error) {
      // The registration ends by itself when the heartbeats stop.
      this.#settings.logger.debug({ agent_id: this.agentId, reason: callErrorLine(error) }, "could not deregister");
    }
  }

  #listen(subject: string): { unsubscribe(): void } {
    return this.#link.subscribe(subject, (msg) => this.work.onSignal(msg));
  }

  #drainOn(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const listener = (): void => void this.drain();
    if (signal.aborted) listener();
    else signal.addEventListener("abort", listener);
    this.#cleanups.push(() => signal.removeEventListener("abort", listener));
  }

  async #heartbeats(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await pause(this.#session.heartbeatIntervalMs, this.#stopping.signal);
      if (!this.#stopping.signal.aborted) await this.#heartbeat();
    }
  }

  async #heartbeat(): Promise<void> {
    if (!this.#link.connected || !this.#registration.mayBeat) return;
    const draining = this.#state !== "active";
    const request = create(HeartbeatRequestSchema, { running: this.work.running, draining });
    try {
      const body = toBinary(HeartbeatRequestSchema, request);
      const options = { timeoutMs: this.#settings.requestTimeoutMs };
      const answer = await this.#link.request(this.#session.heartbeatSubject, body, options);
      if (!fromBinary(HeartbeatResponseSchema, answer.data).registered)
        this.#registerAgain("the mesh forgot the agent");
    } catch (error) {
      this.#settings.logger.debug({ agent_id: this.agentId, reason: lineOf(error) }, "heartbeat not answered");
    }
  }

  #registerAgain(why: string): void {
    if (this.#state === "active") void this.#registration.again(why);
  }

  /** Goes on with a new session: over a new connection if the credential of the one that stands is half spent, or knows too few lanes. */
  async #renew(session: Session): Promise<void> {
    const before = this.#session;
    const { credential } = session;
    if (credential !== undefined) {
      this.#link.use(credential);
      const known = new Set(before.lanes.map(({ consumer }) => consumer));
      const isWider = session.lanes.some(({ consumer }) => !known.has(consumer));
      const isFresh = this.#link.connected && this.#link.pullLimitMs > FRESH * credential.lifetimeMs;
      if (isWider || !isFresh) await this.#link.replace();
    }
    if (session.signalSubject !== before.signalSubject) {
      this.#signals.unsubscribe();
      this.#signals = this.#listen(session.signalSubject);
    }
    this.#session = session;
    this.work.renew(session);
    // Whoever registers takes work, until it says otherwise.
    if (this.#state !== "active") void this.#heartbeat();
  }

  #revoked(error: AgentError): void {
    this.#refusal = error;
    this.#settings.logger.error({ agent_id: this.agentId, reason: lineOf(error) }, "the mesh shut the agent out");
    void this.drain({ graceMs: 0 });
  }
}
