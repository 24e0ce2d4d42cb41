// The connection to NATS: how it is opened, how long it tries, and which servers will do.

import { readFileSync } from "node:fs";
import process from "node:process";
import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  errors,
  type NatsConnection,
} from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { withoutCredentials } from "../secrets/redactor.ts";
import { tlsProblem } from "../tls/client-tls.ts";
import { guardMessages } from "./message-guard.ts";
import { type NatsTlsOptions, natsTls } from "./nats-tls.ts";
import { formatNatsServerVersion, isNewEnough, MINIMUM_NATS_SERVER, parseNatsServerVersion } from "./server/version.ts";

export type { NatsConnection } from "@nats-io/nats-core";

/** How to reach NATS. */
export interface NatsOptions {
  /** Server URLs, comma-separated or as a list, e.g. `nats://127.0.0.1:4222`. */
  readonly servers: string | readonly string[];
  /** The file of the user's credentials: a JWT and the seed of its key. Read again at each reconnect. Default: none. */
  readonly credentialsFile?: string | undefined;
  /** Encrypts the connection. Default: only with `tls:` URLs, or as a server wishes it, and believing the machine's authorities. */
  readonly tls?: NatsTlsOptions | undefined;
  /** How the connection is called in the server's monitoring. */
  readonly name: string;
  /** How long to try at first, in milliseconds. Default 10,000. Once connected, it reconnects for ever. */
  readonly connectTimeoutMs?: number;
  /** The prefix of all inboxes. Default `_INBOX`. */
  readonly inboxPrefix?: string;
  /** Hears what a callback threw for a message, which is lost by that; the connection goes on. Default: a warning of the process. */
  readonly onThrown?: (error: unknown) => void;
  /** Hears of what the user of the connection may not do, but tried: its permissions lack something. Default: a warning of the process. */
  readonly onRefused?: (error: unknown) => void;
}

/** NATS could not be reached, or it will not do: too old, without JetStream, or without room. The message is one line for the operator. */
export class NatsUnavailableError extends Error {
  override readonly name = "NatsUnavailableError";
  /** Why: no answer, no for an answer, or an answer from a server that will not do. */
  readonly code: "NATS_UNREACHABLE" | "NATS_REFUSED" | "NATS_TOO_OLD" | "NATS_NO_JETSTREAM" | "NATS_NO_ROOM";

  constructor(code: NatsUnavailableError["code"], message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** Opens a connection that survives restarts of the server. Throws NatsUnavailableError. */
export async function openNats(options: NatsOptions): Promise<NatsConnection> {
  const servers = typeof options.servers === "string" ? options.servers.split(",") : [...options.servers];
  // What is said here may end up in anybody's log.
  const where = servers.map(withoutCredentials).join(", ");
  const timeoutMs = options.connectTimeoutMs ?? 10_000;
  const tls = natsTls(options.tls, servers);
  const settings: ConnectionOptions = {
    servers,
    ...(tls === undefined ? {} : { tls }),
    name: options.name,
    timeout: timeoutMs,
    // A dead peer is noticed within three pings, while a cluster elects a new leader; the default of two minutes would hold every task
    // for that long.
    pingInterval: 3_000,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    reconnectJitterTLS: 250,
    ignoreAuthErrorAbort: true,
    // Else every request takes two stack traces in advance, in case it fails: a tenth of the coordinator's time.
    noAsyncTraces: true,
    ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
    ...(options.credentialsFile === undefined ? {} : { authenticator: fileAuthenticator(options.credentialsFile) }),
  };
  const connection = await connect(settings).catch((cause: unknown) => {
    if (cause instanceof errors.AuthorizationError || cause instanceof errors.UserAuthenticationExpiredError) {
      const { credentialsFile: file } = options;
      const what =
        file === undefined ? "it asks for credentials (MYCEL_NATS_TRUST)" : `it does not take those in ${file}`;
      const message = `the NATS server at ${where} refuses the connection: ${what}`;
      throw new NatsUnavailableError("NATS_REFUSED", message, cause);
    }
    const handshake = tlsProblem(cause) ?? tlsProblem(cause instanceof Error ? cause.cause : undefined);
    if (handshake !== undefined) {
      throw new NatsUnavailableError("NATS_UNREACHABLE", `cannot connect to NATS at ${where}: ${handshake}`, cause);
    }
    throw new NatsUnavailableError("NATS_UNREACHABLE", `no NATS server answers at ${where}`, cause);
  });
  guardMessages(connection, options.onThrown ?? warn);
  void hearRefusals(connection, options.onRefused ?? warn);
  const { version = "", jetstream } = connection.info ?? {};
  const parsed = parseNatsServerVersion(version);
  if (parsed === undefined || !isNewEnough(parsed)) {
    await connection.close();
    const minimum = formatNatsServerVersion(MINIMUM_NATS_SERVER);
    const message = `nats-server ${version} at ${where} is too old: ${minimum} or newer is needed`;
    throw new NatsUnavailableError("NATS_TOO_OLD", message);
  }
  if (jetstream !== true) {
    await connection.close();
    const message = `JetStream is off on the NATS server at ${where}: start it with -js`;
    throw new NatsUnavailableError("NATS_NO_JETSTREAM", message);
  }
  return connection;
}

async function hearRefusals(connection: NatsConnection, onRefused: (error: unknown) => void): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === "error" && status.error instanceof errors.PermissionViolationError) onRefused(status.error);
  }
}

/** Reads the file for each connection; one that is not whole at a reconnect, because it is being replaced, is taken as it was. */
function fileAuthenticator(file: string): Authenticator {
  let known = credentialsIn(file);
  if (known === undefined)
    throw new NatsUnavailableError("NATS_REFUSED", `${file} can't be read, or holds no credentials for NATS`);
  return credsAuthenticator(() => (known = credentialsIn(file) ?? known ?? new Uint8Array()));
}

function credentialsIn(file: string): Uint8Array | undefined {
  try {
    const bytes = readFileSync(file);
    return bytes.includes("END NATS USER JWT") && bytes.includes("END USER NKEY SEED") ? bytes : undefined;
  } catch {
    return undefined;
  }
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
