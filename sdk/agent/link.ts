// Owns the agent's way to NATS: one connection at a time for what is sent, and beside it, for a while after a renewal, the one before it,
// until all that was asked there is answered. Knows nothing of tasks. JetStream's client machinery is left out on purpose: a pull is one
// publish and its messages are callbacks.
import type { Msg, Subscription } from "@nats-io/transport-node";
import type { Logger } from "../../lib/core/logger.ts";
import type { NatsTlsOptions } from "../../lib/nats/nats-tls.ts";
import type { AgentCredential, AgentKey } from "./agent-key.ts";
import { openWire, type PullStatus, type RequestOptions, type Wire } from "./wire.ts";

export type { PullStatus, RequestOptions } from "./wire.ts";

/** How to connect. */
export interface LinkOptions {
  readonly urls: readonly string[];
  /** Encrypts the connections; undefined where they need not be, unless a URL says so. */
  readonly tls: NatsTlsOptions | undefined;
  /** The prefix of every inbox that the agent may use. */
  readonly inboxPrefix: string;
  /** Shown in the broker's connection list. */
  readonly name: string;
  /** How long the first connection may take. */
  readonly connectTimeoutMs: number;
  /** Ends the attempts to connect. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly key: AgentKey;
  /** What to log in with at first; undefined where the broker asks for nothing. */
  readonly credential: AgentCredential | undefined;
  /** A message that JetStream delivered to the inbox. */
  readonly onDelivery: (msg: Msg) => void;
  /** The end, or a sign of life, of the pull with this token. */
  readonly onPullStatus: (token: string, status: PullStatus) => void;
  /** The connection was lost (false) or is back (true): to the same run of the same server, or not. */
  readonly onConnection: (connected: boolean, same: boolean) => void;
  /** The broker does not take the credential, or not any more. */
  readonly onNotLetIn: () => void;
}

/** The agent's way to NATS. */
export interface Link {
  /** Whether the connection stands. */
  readonly connected: boolean;
  /** Whether the server is one of several: then others serve consumers too, and may be lost while this connection stands. */
  readonly clustered: boolean;
  /**
   * For how long a pull that is sent now may stand, in milliseconds: what the broker delivers when the credential has ended is lost with
   * the connection, until its lease ends. 0 or less if none may be sent; Infinity without a credential.
   */
  readonly pullLimitMs: number;
  /** Sends a message; kept until the connection is back if it is lost. */
  publish(subject: string, data?: Uint8Array | string): void;
  /** Sends a request and resolves with the answer; rejects with {@link LinkError}. */
  request(subject: string, data: Uint8Array, options: RequestOptions): Promise<Msg>;
  /** Sends a pull whose statuses come back under the token, and which is over by itself within so many milliseconds. */
  pull(subject: string, token: string, body: string, overWithinMs: number): void;
  /**
   * Takes all pulls back and sends no more. When it resolves, what the broker had already delivered has arrived, and nothing else will:
   * a delivery that is given back cannot come back here. Resolves after a second if the broker does not answer.
   */
  endPulls(): Promise<void>;
  /** Listens to a subject; the same message may come twice while a connection is replaced. */
  subscribe(subject: string, onMessage: (msg: Msg) => void): { unsubscribe(): void };
  /** Connects with this credential from now on; the connection that stands is left as it is. */
  use(credential: AgentCredential): void;
  /**
   * Goes on over a new connection, while the old one stays until nothing can come of what was asked there. Throws {@link AgentError}
   * NATS_UNREACHABLE; the old connection goes on then.
   */
  replace(): Promise<void>;
  /** Sends what is left and closes. Safe to repeat. */
  close(): Promise<void>;
}

/** How long before the end of a credential the last delivery may come, in milliseconds. */
const LAST_DELIVERY_MS = 1_000;

/** Connects. Throws {@link AgentError} NATS_UNREACHABLE when no server answers in time, ABORTED on the signal. */
export async function openLink(options: LinkOptions): Promise<Link> {
  const link = new WiredLink(options);
  await link.open();
  return link;
}

interface Listener {
  readonly subject: string;
  readonly onMessage: (msg: Msg) => void;
  readonly subscriptions: Subscription[];
}

class WiredLink implements Link {
  readonly #options: LinkOptions;
  readonly #listeners = new Set<Listener>();
  readonly #retiring = new Map<Wire, Promise<void>>();
  #credential: AgentCredential | undefined;
  #current: Wire | undefined;
  #serverId: string | undefined;
  #pullsEnded = false;
  #closed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#credential = options.credential;
  }

  async open(): Promise<void> {
    this.#current = await this.#open(this.#options.connectTimeoutMs);
    this.#serverId = this.#current.serverId;
  }

  get connected(): boolean {
    return this.#wire.connected;
  }

  get clustered(): boolean {
    return this.#wire.clustered;
  }

  get pullLimitMs(): number {
    const { endsMs } = this.#wire;
    return endsMs === Number.POSITIVE_INFINITY ? endsMs : endsMs - LAST_DELIVERY_MS - performance.now();
  }

  publish(subject: string, data?: Uint8Array | string): void {
    this.#wire.publish(subject, data);
  }

  request(subject: string, data: Uint8Array, options: RequestOptions): Promise<Msg> {
    return this.#wire.request(subject, data, options);
  }

  pull(subject: string, token: string, body: string, overWithinMs: number): void {
    if (!this.#pullsEnded) this.#wire.pull(subject, token, body, overWithinMs);
  }

  async endPulls(): Promise<void> {
    this.#pullsEnded = true;
    await Promise.all([this.#wire, ...this.#retiring.keys()].map((wire) => wire.endPulls()));
  }

  subscribe(subject: string, onMessage: (msg: Msg) => void): { unsubscribe(): void } {
    const listener = { subject, onMessage, subscriptions: [this.#wire.subscribe(subject, onMessage)] };
    this.#listeners.add(listener);
    return {
      unsubscribe: () => {
        this.#listeners.delete(listener);
        for (const subscription of listener.subscriptions) subscription.unsubscribe();
      },
    };
  }

  use(credential: AgentCredential): void {
    this.#credential = credential;
  }

  async replace(): Promise<void> {
    const leftMs = (this.#credential?.endsMs ?? Number.POSITIVE_INFINITY) - performance.now();
    const next = await this.#open(Math.max(1, Math.min(this.#options.connectTimeoutMs, leftMs)));
    for (const listener of this.#listeners) {
      listener.subscriptions.push(next.subscribe(listener.subject, listener.onMessage));
    }
    // Nothing is sent over it before it hears everything.
    await next.flush().catch(() => undefined);
    if (this.#closed) return await next.close();
    const old = this.#wire;
    const wasConnected = old.connected;
    if (this.#pullsEnded) await next.endPulls();
    this.#current = next;
    if (!wasConnected) this.#changed(next.connected);
    // While one stands when the other is opened, nothing that the broker has counted can have been forgotten in between.
    else this.#serverId = next.serverId;
    const retired = old.retire().finally(() => this.#retiring.delete(old));
    this.#retiring.set(old, retired);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#wire, ...this.#retiring.keys()].map((wire) => wire.close()));
    await Promise.all(this.#retiring.values());
  }

  get #wire(): Wire {
    if (this.#current === undefined) throw new Error("the link is not open");
    return this.#current;
  }

  #open(connectTimeoutMs: number): Promise<Wire> {
    return openWire({
      ...this.#options,
      connectTimeoutMs,
      credential: () => this.#credential,
      onConnection: (wire, connected) => {
        if (wire === this.#current) this.#changed(connected);
      },
    });
  }

  #changed(connected: boolean): void {
    const now = this.#wire.serverId;
    const same = this.#serverId === now;
    if (connected) this.#serverId = now;
    if (!this.#closed) this.#options.onConnection(connected, same);
  }
}
