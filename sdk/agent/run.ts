// Owns a running agent's life: registers it, connects it, keeps it registered by heartbeats, and drains it. The work is workshop.ts.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Subscription } from "@nats-io/transport-node";
import { HeartbeatRequestSchema, HeartbeatResponseSchema } from "../../gen/mycel/v1/agent_protocol_pb.ts";
import type { Clock } from "../../lib/core/clock.ts";
import { lineOf } from "./agent-error.ts";
import { createBlobs } from "./blobs.ts";
import { callErrorLine, type Coordinators, createCoordinators } from "./coordinators.ts";
import type { AgentDefinition } from "./define.ts";
import { type Link, openLink } from "./link.ts";
import { type ResolvedOptions, resolveOptions, type RunAgentOptions } from "./options.ts";
import { containRejections, onStopSignal } from "./process-hooks.ts";
import { pause } from "../../lib/time/pause.ts";
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
}

const SYSTEM_CLOCK: Clock = { now: () => Date.now(), monotonicMs: () => performance.now() };
// How long reports may still be on their way once no handler runs.
const SETTLE_GRACE_MS = 5_000;
const DEREGISTER_TIMEOUT_MS = 2_000;
const REGISTER_PAUSE_MS = 1_000;

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
    const session = await register(coordinators, definition, { agentId, timeoutMs, signal, logger });
    let runner: Runner | undefined;
    const link = await openLink({
      urls: session.natsUrls,
      inboxPrefix: session.inboxPrefix,
      name: `mycel agent ${session.agentId}`,
      connectTimeoutMs: timeoutMs,
      signal,
      logger,
      onDelivery: (msg) => runner?.work.onDelivery(msg),
      onPullStatus: (token, status) => runner?.work.onPullStatus(token, status),
      onConnection: (connected, same) => runner?.onConnection(connected, same),
    });
    runner = new Runner(definition, settings, coordinators, session, link);
    return runner;
  } catch (error) {
    coordinators.close();
    throw error;
  }
}

class Runner implements RunningAgent {
  readonly agentId: string;
  readonly done: Promise<void>;
  readonly work: Workshop;
  readonly #definition: AgentDefinition;
  readonly #settings: ResolvedOptions;
  readonly #coordinators: Coordinators;
  readonly #link: Link;
  readonly #stopping = new AbortController();
  readonly #cleanups: (() => void)[] = [];
  readonly #finished: () => void;
  #session: Session;
  #signals: Subscription;
  #state: AgentStats["state"] = "active";
  #registering = false;
  #registeringAnew: string | undefined;
  #draining: Promise<void> | undefined;

  constructor(
    definition: AgentDefinition,
    settings: ResolvedOptions,
    coordinators: Coordinators,
    session: Session,
    link: Link,
  ) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.agentId = session.agentId;
    this.done = promise;
    this.#finished = resolve;
    this.#definition = definition;
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
      onLaneMissing: () => void this.#registerAgain("a consumer is missing"),
    });
    this.#signals = this.#listen(session.signalSubject);
    if (settings.handleSignals) this.#cleanups.push(onStopSignal(() => void this.drain(), settings.logger));
    if (settings.containRejections) this.#cleanups.push(containRejections(settings.logger));
    this.#drainOn(settings.signal);
    void this.#heartbeats();
    settings.logger.info({ agent_id: this.agentId, lanes: session.lanes.length }, "agent takes work");
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
    const settled = await this.work.whenSettled(SETTLE_GRACE_MS);
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

  #listen(subject: string): Subscription {
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
    if (!this.#link.connected) return;
    const draining = this.#state !== "active";
    const request = create(HeartbeatRequestSchema, { running: this.work.running, draining });
    try {
      const body = toBinary(HeartbeatRequestSchema, request);
      const options = { timeoutMs: this.#settings.requestTimeoutMs };
      const answer = await this.#link.request(this.#session.heartbeatSubject, body, options);
      if (!fromBinary(HeartbeatResponseSchema, answer.data).registered)
        void this.#registerAgain("the mesh forgot the agent");
    } catch (error) {
      this.#settings.logger.debug({ agent_id: this.agentId, reason: lineOf(error) }, "heartbeat not answered");
    }
  }

  async #registerAgain(why: string): Promise<void> {
    if (this.#state !== "active") return;
    if (this.#registering) {
      // What is found wanting now, the session that is on its way may not know yet.
      this.#registeringAnew = why;
      return;
    }
    this.#registering = true;
    const { logger } = this.#settings;
    logger.info({ agent_id: this.agentId, why }, "registering again");
    try {
      const options = {
        agentId: this.agentId,
        timeoutMs: Number.POSITIVE_INFINITY,
        signal: this.#stopping.signal,
        logger,
      };
      const session = await register(this.#coordinators, this.#definition, options);
      if (session.signalSubject !== this.#session.signalSubject) {
        this.#signals.unsubscribe();
        this.#signals = this.#listen(session.signalSubject);
      }
      this.#session = session;
      this.work.renew(session);
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        logger.error({ agent_id: this.agentId, reason: lineOf(error) }, "could not register again");
    } finally {
      // A mesh that keeps forgetting the agent must not be asked without pause.
      await pause(REGISTER_PAUSE_MS, this.#stopping.signal);
      this.#registering = false;
      const anew = this.#registeringAnew;
      this.#registeringAnew = undefined;
      if (anew !== undefined) void this.#registerAgain(anew);
    }
  }
}
