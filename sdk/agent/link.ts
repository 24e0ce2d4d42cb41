// Owns the agent's NATS connection: one inbox for every answer, requests that fail the moment the connection is lost, and its status.
// Knows nothing of tasks. JetStream's client machinery is left out on purpose: a pull is one publish and its messages are callbacks.
import {
  connect,
  headers as natsHeaders,
  type Msg,
  type NatsConnection,
  type Subscription,
} from "@nats-io/transport-node";
import type { Logger } from "../../lib/core/logger.ts";
import { guardMessages } from "../../lib/nats/message-guard.ts";
import { AgentError, lineOf } from "./agent-error.ts";
import { pause } from "../../lib/time/pause.ts";

/** How to connect. */
export interface LinkOptions {
  readonly urls: readonly string[];
  /** The prefix of every inbox that the agent may use. */
  readonly inboxPrefix: string;
  /** Shown in the broker's connection list. */
  readonly name: string;
  /** How long the first connection may take. */
  readonly connectTimeoutMs: number;
  /** Ends the attempts to connect. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** A message that JetStream delivered to the inbox. */
  readonly onDelivery: (msg: Msg) => void;
  /** The end, or a sign of life, of the pull with this token. */
  readonly onPullStatus: (token: string, status: PullStatus) => void;
  /** The connection was lost (false) or is back (true): to the same run of the same server, or not. */
  readonly onConnection: (connected: boolean, same: boolean) => void;
}

/** What the broker says about a pull instead of a message. */
export interface PullStatus {
  /** 100 heartbeat, 404 nothing there, 408 ended, 409 refused or interrupted, 503 nobody serves it. */
  readonly code: number;
  readonly description: string;
}

/** Why a request got no answer. */
export class LinkError extends Error {
  override readonly name: string = "LinkError";
  readonly code: "TIMEOUT" | "NO_RESPONDERS" | "DISCONNECTED" | "CLOSED";

  constructor(code: LinkError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** What a request may carry. */
export interface RequestOptions {
  readonly timeoutMs: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The agent's connection. */
export interface Link {
  /** Whether the connection stands. */
  readonly connected: boolean;
  /** Whether the server is one of several: then others serve consumers too, and may be lost while this connection stands. */
  readonly clustered: boolean;
  /** Sends a message; kept until the connection is back if it is lost. */
  publish(subject: string, data?: Uint8Array | string): void;
  /** Sends a request and resolves with the answer; rejects with {@link LinkError}. */
  request(subject: string, data: Uint8Array, options: RequestOptions): Promise<Msg>;
  /** Sends a pull whose statuses come back under the token. */
  pull(subject: string, token: string, body: string): void;
  /**
   * Takes all pulls back and sends no more. When it resolves, what the broker had already delivered has arrived, and nothing else will:
   * a delivery that is given back cannot come back here. Resolves after a second if the broker does not answer.
   */
  endPulls(): Promise<void>;
  /** Listens to a subject. */
  subscribe(subject: string, onMessage: (msg: Msg) => void): Subscription;
  /** Sends what is left and closes. Safe to repeat. */
  close(): Promise<void>;
}

const PING_INTERVAL_MS = 10_000;
const RECONNECT_WAIT_MS = 250;
const CONNECT_ATTEMPT_MS = 5_000;
const END_PULLS_MS = 1_000;

interface Waiter {
  readonly resolve: (msg: Msg) => void;
  readonly reject: (error: LinkError) => void;
  readonly timer: NodeJS.Timeout;
}

/** Connects. Throws {@link AgentError} NATS_UNREACHABLE when no server answers in time, ABORTED on the signal. */
export async function openLink(options: LinkOptions): Promise<Link> {
  const nc = await connectWithin(options);
  guardMessages(nc, (err) => options.logger.error({ err }, "message of NATS not taken"));
  const inbox = `${options.inboxPrefix}.${Math.random().toString(36).slice(2, 12)}`;
  const waiters = new Map<string, Waiter>();
  let connected = true;
  let closing = false;
  let pullsEnded = false;
  let counter = 0;

  const pullInbox = `${inbox}p`;
  const pulls = nc.subscribe(`${pullInbox}.*`, {
    callback: (_error, msg) => {
      // JetStream delivers under the message's own subject; only statuses come under the inbox.
      if (!msg.subject.startsWith(pullInbox)) {
        options.onDelivery(msg);
        return;
      }
      const code = msg.headers?.code ?? 0;
      const token = msg.subject.slice(pullInbox.length + 1);
      if (code > 0) options.onPullStatus(token, { code, description: msg.headers?.description ?? "" });
    },
  });
  nc.subscribe(`${inbox}.*`, {
    callback: (_error, msg) => {
      const token = msg.subject.slice(inbox.length + 1);
      const waiter = waiters.get(token);
      if (waiter === undefined) return;
      waiters.delete(token);
      clearTimeout(waiter.timer);
      if (msg.data.length === 0 && msg.headers?.code === 503) {
        waiter.reject(new LinkError("NO_RESPONDERS", "nobody serves the request"));
      } else {
        waiter.resolve(msg);
      }
    },
  });

  let server = nc.info?.server_id;
  const setConnected = (value: boolean): void => {
    if (connected === value) return;
    connected = value;
    const same = server === nc.info?.server_id;
    if (value) server = nc.info?.server_id;
    if (!value) rejectAll(waiters, new LinkError("DISCONNECTED", "the connection to NATS was lost"));
    if (!closing) options.onConnection(value, same);
  };
  void followStatus(nc, setConnected, options.logger);

  return {
    get connected() {
      return connected && !closing;
    },
    get clustered() {
      // A server on its own names no cluster.
      return nc.info?.cluster !== undefined;
    },
    publish(subject, data) {
      if (!nc.isClosed()) nc.publish(subject, data);
    },
    request(subject, data, { timeoutMs, headers }) {
      if (nc.isClosed()) return Promise.reject(new LinkError("CLOSED", "the connection to NATS is closed"));
      const token = `r${(counter += 1)}`;
      return new Promise((resolve, reject) => {
        const expire = (): void => {
          waiters.delete(token);
          reject(new LinkError("TIMEOUT", `no answer within ${timeoutMs} ms`));
        };
        waiters.set(token, { resolve, reject, timer: setTimeout(expire, timeoutMs) });
        const reply = `${inbox}.${token}`;
        nc.publish(subject, data, headers === undefined ? { reply } : { reply, headers: headersOf(headers) });
      });
    },
    pull(subject, token, body) {
      if (!nc.isClosed() && !pullsEnded) nc.publish(subject, body, { reply: `${pullInbox}.${token}` });
    },
    async endPulls() {
      if (pullsEnded) return;
      pullsEnded = true;
      if (!connected || nc.isClosed()) return;
      // The drain ends the interest first and then asks for an answer: the broker delivers nothing after that.
      await Promise.race([pulls.drain().catch(() => undefined), pause(END_PULLS_MS)]);
    },
    subscribe(subject, onMessage) {
      return nc.subscribe(subject, { callback: (error, msg) => (error === null ? onMessage(msg) : undefined) });
    },
    async close() {
      if (closing) return;
      closing = true;
      // A drain needs the server; without it there is nothing that could still be sent.
      if (connected && !nc.isClosed()) await nc.drain().catch(() => nc.close());
      else await nc.close();
      rejectAll(waiters, new LinkError("CLOSED", "the connection to NATS is closed"));
    },
  };
}

async function connectWithin(options: LinkOptions): Promise<NatsConnection> {
  const startedMs = performance.now();
  for (let waitMs = RECONNECT_WAIT_MS; ; waitMs = Math.min(waitMs * 2, 2_000)) {
    const leftMs = options.connectTimeoutMs - (performance.now() - startedMs);
    try {
      return await connect({
        servers: [...options.urls],
        name: options.name,
        inboxPrefix: options.inboxPrefix,
        maxReconnectAttempts: -1,
        reconnectTimeWait: RECONNECT_WAIT_MS,
        reconnectJitter: RECONNECT_WAIT_MS,
        pingInterval: PING_INTERVAL_MS,
        maxPingOut: 2,
        timeout: Math.max(1, Math.min(CONNECT_ATTEMPT_MS, leftMs)),
        // Two refused log-ins would otherwise end the reconnecting for good, e.g. while credentials are renewed.
        ignoreAuthErrorAbort: true,
        noAsyncTraces: true,
      });
    } catch (error) {
      if (options.signal.aborted) throw new AgentError("ABORTED", "stopped before NATS was reached", { cause: error });
      if (leftMs - waitMs <= 0) {
        const where = options.urls.join(", ");
        throw new AgentError("NATS_UNREACHABLE", `cannot reach NATS at ${where}: ${lineOf(error)}`, { cause: error });
      }
      options.logger.debug({ err: error, urls: options.urls }, "NATS not reachable yet");
      await pause(waitMs, options.signal);
    }
  }
}

async function followStatus(nc: NatsConnection, setConnected: (value: boolean) => void, logger: Logger): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === "disconnect") setConnected(false);
    else if (status.type === "reconnect") setConnected(true);
    else if (status.type === "error") logger.warn({ err: status.error }, "NATS reported an error");
  }
}

function rejectAll(waiters: Map<string, Waiter>, error: LinkError): void {
  const lost = [...waiters.values()];
  waiters.clear();
  for (const waiter of lost) {
    clearTimeout(waiter.timer);
    waiter.reject(error);
  }
}

function headersOf(fields: Readonly<Record<string, string>>): ReturnType<typeof natsHeaders> {
  const made = natsHeaders();
  for (const [name, value] of Object.entries(fields)) made.set(name, value);
  return made;
}
