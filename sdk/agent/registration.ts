// Owns that a running agent stays registered: asks again when something was found wanting, and renews its credential long before it ends.
// What becomes of a new session is told elsewhere.
import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { Logger } from "../../lib/core/logger.ts";
import { pause } from "../../lib/time/pause.ts";
import { AgentError, lineOf } from "./agent-error.ts";
import type { Session } from "./session.ts";

/** What keeping registered needs. */
export interface RegistrationOptions {
  readonly agentId: string;
  /** The session with which the agent runs. */
  readonly session: Session;
  /** Registers the agent, however long it takes to reach a coordinator. */
  readonly register: () => Promise<Session>;
  /** There is a new session. */
  readonly onSession: (session: Session) => Promise<void>;
  /** The agent was revoked: it will not be let in again. */
  readonly onRevoked: (error: AgentError) => void;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

// A mesh that keeps forgetting the agent must not be asked without pause.
const PAUSE_MS = 1_000;
const FIRST_RETRY_MS = 2_000;
const MAX_RETRY_MS = 30_000;
const MAX_TIMER_MS = 2 ** 31 - 1;
// Half of its time is left for coordinators that are away, and agents that began together do not come together for ever.
const RENEW_AFTER = 0.5;
const SPREAD = 0.1;

/** Keeps an agent registered. */
export class Registration {
  readonly #options: RegistrationOptions;
  #registering = false;
  /** Why it must be asked once more when the answer is there: the session that is on its way may not know of it yet. */
  #anew: string | undefined;
  #retryMs = FIRST_RETRY_MS;
  #idTaken = false;
  #renewal = new AbortController();

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#scheduleRenewal(options.session);
  }

  /**
   * Whether signs of life may be sent. Not while the id is somebody else's, which it is when the agent's own credentials for the mesh have
   * changed: then the registration must end before it can begin anew.
   */
  get mayBeat(): boolean {
    return !this.#idTaken;
  }

  /** Registers again. */
  async again(why: string): Promise<void> {
    const { signal, logger, agentId } = this.#options;
    if (signal.aborted) return;
    if (this.#registering) {
      this.#anew = why;
      return;
    }
    this.#registering = true;
    logger.info({ agent_id: agentId, why }, "registering again");
    try {
      const session = await this.#options.register();
      this.#retryMs = FIRST_RETRY_MS;
      this.#idTaken = false;
      this.#scheduleRenewal(session);
      await this.#options.onSession(session);
    } catch (error) {
      if (!signal.aborted) this.#failed(error);
    } finally {
      await pause(PAUSE_MS, signal);
      this.#registering = false;
      const anew = this.#anew;
      this.#anew = undefined;
      if (anew !== undefined) void this.again(anew);
    }
  }

  #failed(error: unknown): void {
    const { logger, agentId, session } = this.#options;
    const reason = reasonOf(error);
    if (reason === "AGENT_REVOKED" && error instanceof AgentError) {
      this.#options.onRevoked(error);
      return;
    }
    this.#idTaken = reason === "AGENT_ID_TAKEN";
    logger.error({ agent_id: agentId, reason: lineOf(error) }, "could not register again");
    // Without a credential, the next sign of life says whether it is still necessary.
    if (session.credential !== undefined || this.#idTaken) {
      this.#after(this.#retryMs, "it was refused");
      this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
    }
  }

  #scheduleRenewal({ credential }: Session): void {
    this.#renewal.abort();
    if (credential === undefined || !Number.isFinite(credential.lifetimeMs)) return;
    const spread = 1 + SPREAD * (2 * Math.random() - 1);
    const atMs = credential.endsMs - credential.lifetimeMs * (1 - RENEW_AFTER * spread);
    this.#after(Math.max(0, atMs - performance.now()), "its credential ends soon");
  }

  #after(ms: number, why: string): void {
    this.#renewal.abort();
    this.#renewal = new AbortController();
    void pause(Math.min(ms, MAX_TIMER_MS), this.#renewal.signal, this.#options.signal).then((waited) =>
      waited ? this.again(why) : undefined,
    );
  }
}

/** The mesh's reason in an error of a call; undefined if there is none. */
function reasonOf(error: unknown): string | undefined {
  const cause = error instanceof AgentError ? error.cause : error;
  if (!(cause instanceof ConnectError)) return undefined;
  return cause.findDetails(ErrorInfoSchema)[0]?.reason;
}
