// Owns one connection to NATS: an inbox for every answer, requests that fail the moment the connection is lost, and which pulls may still
// bring something. It knows neither what it carries nor that there may be others of its kind.
import { randomBytes } from "node:crypto";
import {
  connect,
  errors,
  headers as natsHeaders,
  type Msg,
  type NatsConnection,
  type Subscription,
} from "@nats-io/transport-node";
import type { Logger } from "../../lib/core/logger.ts";
import { guardMessages } from "../../lib/nats/message-guard.ts";
import { type NatsTlsOptions, natsTls } from "../../lib/nats/nats-tls.ts";
import { withoutCredentials } from "../../lib/secrets/redactor.ts";
import { pause } from "../../lib/time/pause.ts";
import { tlsProblem } from "../../lib/tls/client-tls.ts";
import type { AgentCredential, AgentKey } from "./agent-key.ts";
import { AgentError, lineOf } from "./agent-error.ts";
import { LinkError } from "./link-error.ts";

/** What the broker says about a pull instead of a message. */
export interface PullStatus {
  /** 100 heartbeat, 404 nothing there, 408 ended, 409 refused or interrupted, 503 nobody serves it. */
  readonly code: number;
  readonly description: string;
}

/** What a request may carry. */
export interface RequestOptions {
  readonly timeoutMs: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** How to connect. */
export interface WireOptions {
  readonly urls: readonly string[];
  /** Encrypts the connection; undefined where it need not be, unless a URL says so. */
  readonly tls: NatsTlsOptions | undefined;
  readonly inboxPrefix: string;
  readonly name: string;
  readonly connectTimeoutMs: number;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly key: AgentKey;
  /** The newest credential; undefined where the broker asks for none. */
  readonly credential: () => AgentCredential | undefined;
  readonly onDelivery: (msg: Msg) => void;
  readonly onPullStatus: (token: string, status: PullStatus) => void;
  /** The connection was lost (false) or is back (true). */
  readonly onConnection: (wire: Wire, connected: boolean) => void;
  /** The broker does not let the agent in, or not any more. */
  readonly onNotLetIn: () => void;
}

const PING_INTERVAL_MS = 10_000;
const RECONNECT_WAIT_MS = 250;
/** How long a credential that has ended is not shown to the broker again: it would only be refused. */
const ENDED_WAIT_MS = 1_000;
const CONNECT_ATTEMPT_MS = 5_000;
const END_PULLS_MS = 1_000;
/** What is said of a pull when it is over takes a moment to arrive. */
const PULL_GRACE_MS = 500;
/** A connection is closed by itself rather than by the broker, this long before its credential ends. */
const CLOSE_BEFORE_MS = 250;
/** How often it is looked whether a connection is still needed that was replaced. */
const LOOK_MS = 50;
/** From how many pulls on those that are over are forgotten. */
const MANY_PULLS = 256;

interface Waiter {
  readonly resolve: (msg: Msg) => void;
  readonly reject: (error: LinkError) => void;
  readonly timer: NodeJS.Timeout;
}

/** Connects. Throws {@link AgentError} NATS_UNREACHABLE when no server answers in time, ABORTED on the signal. */
export async function openWire(options: WireOptions): Promise<Wire> {
  const credential = options.credential();
  return new Wire(await connectWithin(options), options, credential);
}

/** One connection. */
export class Wire {
  readonly #nc: NatsConnection;
  readonly #options: WireOptions;
  readonly #inbox: string;
  readonly #pullInbox: string;
  readonly #pulls: Subscription;
  readonly #waiters = new Map<string, Waiter>();
  /** When each pull is over at the latest, on the monotonic clock. */
  readonly #pullsOverMs = new Map<string, number>();
  #connected = true;
  #pullsEnded = false;
  #closing = false;
  #counter = 0;
  #endsMs: number;

  constructor(nc: NatsConnection, options: WireOptions, credential: AgentCredential | undefined) {
    this.#nc = nc;
    this.#options = options;
    this.#endsMs = credential?.endsMs ?? Number.POSITIVE_INFINITY;
    // Other agents can have answers sent to any subject that they can name: nobody must guess this one.
    this.#inbox = `${options.inboxPrefix}.${randomBytes(15).toString("base64url")}`;
    this.#pullInbox = `${this.#inbox}p`;
    guardMessages(nc, (err) => options.logger.error({ err }, "message of NATS not taken"));
    this.#pulls = nc.subscribe(`${this.#pullInbox}.*`, { callback: (_error, msg) => this.#onPulled(msg) });
    nc.subscribe(`${this.#inbox}.*`, { callback: (_error, msg) => this.#onAnswer(msg) });
    void this.#follow();
  }

  /** Whether the connection stands. */
  get connected(): boolean {
    return this.#connected && !this.#closing;
  }

  /** The server at the other end. */
  get serverId(): string | undefined {
    return this.#nc.info?.server_id;
  }

  /** Whether the server is one of several. */
  get clustered(): boolean {
    // A server on its own names no cluster.
    return this.#nc.info?.cluster !== undefined;
  }

  /** When the credential ends with which it was opened, on the monotonic clock; Infinity without one. */
  get endsMs(): number {
    return this.#endsMs;
  }

  publish(subject: string, data?: Uint8Array | string): void {
    if (!this.#nc.isClosed()) this.#nc.publish(subject, data);
  }

  request(subject: string, data: Uint8Array, { timeoutMs, headers }: RequestOptions): Promise<Msg> {
    if (this.#nc.isClosed()) return Promise.reject(new LinkError("CLOSED", "the connection to NATS is closed"));
    const token = `r${(this.#counter += 1)}`;
    return new Promise((resolve, reject) => {
      const expire = (): void => {
        this.#waiters.delete(token);
        reject(new LinkError("TIMEOUT", `no answer within ${timeoutMs} ms`));
      };
      this.#waiters.set(token, { resolve, reject, timer: setTimeout(expire, timeoutMs) });
      const reply = `${this.#inbox}.${token}`;
      this.#nc.publish(subject, data, headers === undefined ? { reply } : { reply, headers: headersOf(headers) });
    });
  }

  /** Sends a pull that is over by itself within so many milliseconds. */
  pull(subject: string, token: string, body: string, overWithinMs: number): void {
    if (this.#nc.isClosed() || this.#pullsEnded) return;
    const nowMs = performance.now();
    if (this.#pullsOverMs.size >= MANY_PULLS) {
      for (const [old, overMs] of this.#pullsOverMs) if (overMs <= nowMs) this.#pullsOverMs.delete(old);
    }
    this.#pullsOverMs.set(token, nowMs + overWithinMs + PULL_GRACE_MS);
    this.#nc.publish(subject, body, { reply: `${this.#pullInbox}.${token}` });
  }

  /** Takes all pulls back. See `Link.endPulls`. */
  async endPulls(): Promise<void> {
    if (this.#pullsEnded) return;
    this.#pullsEnded = true;
    if (!this.#connected || this.#nc.isClosed()) return;
    // The drain ends the interest first and then asks for an answer: the broker delivers nothing after that.
    await Promise.race([this.#pulls.drain().catch(() => undefined), pause(END_PULLS_MS)]);
  }

  subscribe(subject: string, onMessage: (msg: Msg) => void): Subscription {
    return this.#nc.subscribe(subject, { callback: (error, msg) => (error === null ? onMessage(msg) : undefined) });
  }

  /** Resolves when the broker has taken in everything that was sent. */
  async flush(): Promise<void> {
    await this.#nc.flush();
  }

  /**
   * Closes once nothing can come any more of what was asked here: every pull is over and every request answered. At the latest, and then
   * with its pulls taken back, just before its credential ends.
   */
  async retire(): Promise<void> {
    const latestMs = this.#endsMs - CLOSE_BEFORE_MS;
    while (this.connected && this.#isNeeded() && performance.now() < latestMs) await pause(LOOK_MS);
    await this.endPulls();
    await this.close();
    // Whoever waits for a pull that this connection took with it need not wait for its silence.
    const nowMs = performance.now();
    for (const [token, overMs] of this.#pullsOverMs) {
      if (overMs > nowMs) this.#options.onPullStatus(token, { code: 408, description: "the connection was replaced" });
    }
  }

  /** Sends what is left and closes. Safe to repeat. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    // A drain needs the server; without it there is nothing that could still be sent.
    if (this.#connected && !this.#nc.isClosed()) await this.#nc.drain().catch(() => this.#nc.close());
    else await this.#nc.close();
    this.#rejectAll(new LinkError("CLOSED", "the connection to NATS is closed"));
  }

  #isNeeded(): boolean {
    if (this.#waiters.size > 0) return true;
    const nowMs = performance.now();
    for (const overMs of this.#pullsOverMs.values()) if (overMs > nowMs) return true;
    return false;
  }

  #onPulled(msg: Msg): void {
    // JetStream delivers under the message's own subject; only statuses come under the inbox.
    if (!msg.subject.startsWith(this.#pullInbox)) {
      this.#options.onDelivery(msg);
      return;
    }
    const code = msg.headers?.code ?? 0;
    if (code === 0) return;
    const token = msg.subject.slice(this.#pullInbox.length + 1);
    if (code !== 100) this.#pullsOverMs.delete(token);
    this.#options.onPullStatus(token, { code, description: msg.headers?.description ?? "" });
  }

  #onAnswer(msg: Msg): void {
    const token = msg.subject.slice(this.#inbox.length + 1);
    const waiter = this.#waiters.get(token);
    if (waiter === undefined) return;
    this.#waiters.delete(token);
    clearTimeout(waiter.timer);
    if (msg.data.length === 0 && msg.headers?.code === 503) {
      waiter.reject(new LinkError("NO_RESPONDERS", "nobody serves the request"));
    } else {
      waiter.resolve(msg);
    }
  }

  async #follow(): Promise<void> {
    const { logger, credential, onNotLetIn } = this.#options;
    for await (const status of this.#nc.status()) {
      if (status.type === "disconnect") this.#setConnected(false);
      else if (status.type === "reconnect") {
        this.#endsMs = credential()?.endsMs ?? Number.POSITIVE_INFINITY;
        this.#setConnected(true);
      } else if (status.type === "error") {
        if (this.#closing) continue;
        logger.warn({ err: status.error }, "NATS reported an error");
        if (isNotLetIn(status.error)) onNotLetIn();
      }
    }
  }

  #setConnected(value: boolean): void {
    if (this.#connected === value) return;
    this.#connected = value;
    if (!value) this.#rejectAll(new LinkError("DISCONNECTED", "the connection to NATS was lost"));
    if (!this.#closing) this.#options.onConnection(this, value);
  }

  #rejectAll(error: LinkError): void {
    const lost = [...this.#waiters.values()];
    this.#waiters.clear();
    for (const waiter of lost) {
      clearTimeout(waiter.timer);
      waiter.reject(error);
    }
  }
}

async function connectWithin(options: WireOptions): Promise<NatsConnection> {
  const { key, credential, logger } = options;
  const tls = natsTls(options.tls, options.urls, (reason) =>
    logger.warn({ reason }, "new TLS files for NATS are not good: the old ones stay in use"),
  );
  // What is said here may end up in anybody's log.
  const shown = options.urls.map(withoutCredentials);
  const startedMs = performance.now();
  for (let waitMs = RECONNECT_WAIT_MS; ; waitMs = Math.min(waitMs * 2, 2_000)) {
    const leftMs = options.connectTimeoutMs - (performance.now() - startedMs);
    try {
      return await connect({
        servers: [...options.urls],
        ...(tls === undefined ? {} : { tls }),
        name: options.name,
        inboxPrefix: options.inboxPrefix,
        maxReconnectAttempts: -1,
        reconnectDelayHandler: () => {
          const ended = (credential()?.endsMs ?? Number.POSITIVE_INFINITY) <= performance.now();
          return (ended ? ENDED_WAIT_MS : RECONNECT_WAIT_MS) + Math.random() * RECONNECT_WAIT_MS;
        },
        pingInterval: PING_INTERVAL_MS,
        maxPingOut: 2,
        timeout: Math.max(1, Math.min(CONNECT_ATTEMPT_MS, leftMs)),
        // Two refused log-ins would otherwise end the reconnecting for good, e.g. while credentials are renewed.
        ignoreAuthErrorAbort: true,
        noAsyncTraces: true,
        ...(credential() === undefined ? {} : { authenticator: key.authenticator(credential) }),
      });
    } catch (error) {
      if (options.signal.aborted) throw new AgentError("ABORTED", "stopped before NATS was reached", { cause: error });
      if (leftMs - waitMs <= 0) {
        const why = tlsProblem(error) ?? lineOf(error);
        throw new AgentError("NATS_UNREACHABLE", `cannot reach NATS at ${shown.join(", ")}: ${why}`, { cause: error });
      }
      options.logger.debug({ err: error, urls: shown }, "NATS not reachable yet");
      await pause(waitMs, options.signal);
    }
  }
}

function isNotLetIn(error: unknown): boolean {
  return error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError;
}

function headersOf(fields: Readonly<Record<string, string>>): ReturnType<typeof natsHeaders> {
  const made = natsHeaders();
  for (const [name, value] of Object.entries(fields)) made.set(name, value);
  return made;
}
