// Owns the text of nats-server's configuration file and the bounds of its settings. Pure: writes no file.

import { type ServerTrust, serverTrustLines } from "../trust/server-trust.ts";

/** What can be set on a server that Mycel starts itself. */
export interface NatsServerSettings {
  /** Interface to listen on for NATS clients. Default `127.0.0.1`: only this machine. */
  readonly host?: string | undefined;
  /** TCP port for NATS clients, 1–65535, or -1 for a free one. Default -1. */
  readonly port?: number | undefined;
  /**
   * How often JetStream forces written data to the disk: `always` (before each acknowledgement) or an interval such as
   * `10s`; nats-server's `sync_interval`. Default: nats-server's own, 2 minutes, which loses nothing when the process
   * is killed, but up to that much when the machine loses power.
   */
  readonly syncInterval?: string | undefined;
  /** Most bytes JetStream may keep on disk; nats-server's `max_file_store`. Default: its own, 75 % of the free space. */
  readonly maxFileBytes?: number | undefined;
  /** Opens a listener for NATS over WebSocket, in clear text, on the same interface. Default: none. */
  readonly websocket?: { /** 1–65535, or -1 for a free one. */ readonly port: number } | undefined;
  /** Whom it trusts. Default: anybody who reaches it may do everything. */
  readonly trust?: ServerTrust | undefined;
  /** Lines of nats-server configuration added as they are, e.g. a `cluster` block. Default: none. */
  readonly extraConfig?: string | undefined;
}

/** Where a server keeps what; all inside its data folder. */
export interface NatsServerFiles {
  readonly config: string;
  readonly storeDir: string;
  /** Accounts' JWTs as they were pushed to it. */
  readonly resolverDir: string;
  readonly portsDir: string;
  readonly log: string;
}

/**
 * Consumers that a stream may have. The server's default of 0 means no bound at all for a stream that names none, and
 * a stream that names none is a mistake: this keeps it from filling the memory. Enough for 1,250 queues of 4 priorities.
 */
const DEFAULT_MAX_CONSUMERS = 5_000;

/** Upper bound on any consumer's unacknowledged messages; work queues ask for far more than the usual 1,000. */
const MAX_ACK_PENDING = 100_000;

/** nats-server rotates its log at this size, and keeps this many old ones. */
const LOG_BYTES = 16 * 1024 * 1024;
const LOG_FILES = 3;

/** Whether this is a value of {@link NatsServerSettings.syncInterval}: `always`, or a duration such as `10s`. */
export function isSyncInterval(text: string): boolean {
  return /^(always|[1-9]\d*(ms|s|m|h))$/.test(text);
}

/** Throws an error of one line that names the setting, its value and the allowed range. */
export function checkSettings(settings: NatsServerSettings): void {
  checkPort("port", settings.port ?? -1);
  if (settings.websocket !== undefined) checkPort("websocket.port", settings.websocket.port);
  const { host, syncInterval, maxFileBytes } = settings;
  if (host !== undefined && !/^[0-9A-Za-z.:_-]+$/.test(host)) {
    throw new RangeError(`host ${JSON.stringify(host)} must be a host name or an IP address`);
  }
  if (syncInterval !== undefined && !isSyncInterval(syncInterval)) {
    throw new RangeError(`syncInterval ${JSON.stringify(syncInterval)} must be "always" or a duration such as "10s"`);
  }
  if (maxFileBytes !== undefined && !(Number.isSafeInteger(maxFileBytes) && maxFileBytes > 0)) {
    throw new RangeError(`maxFileBytes ${maxFileBytes} must be a whole number of bytes, at least 1`);
  }
}

/** Writes the configuration file's text. Every setting here was tried on nats-server 2.15.1. */
export function serverConfig(settings: NatsServerSettings, files: NatsServerFiles): string {
  const host = settings.host ?? "127.0.0.1";
  const lines = [
    "# Written by Mycel at each start; changes are lost.",
    `listen: ${listen(host, settings.port ?? -1)}`,
    // Loopback only: it shows every connection. Health is asked here because it needs no credentials.
    `http: ${listen("127.0.0.1", -1)}`,
    `ports_file_dir: ${quoted(files.portsDir)}`,
    `log_file: ${quoted(files.log)}`,
    `log_size_limit: ${LOG_BYTES}`,
    `logfile_max_num: ${LOG_FILES}`,
    "max_payload: 1MB",
    // A client that does not read for so long is cut off, so that it cannot hold the server's memory.
    'write_deadline: "10s"',
    "jetstream {",
    `  store_dir: ${quoted(files.storeDir)}`,
    ...(settings.maxFileBytes === undefined ? [] : [`  max_file_store: ${settings.maxFileBytes}`]),
    ...(settings.syncInterval === undefined ? [] : [`  sync_interval: ${quoted(settings.syncInterval)}`]),
    `  limits { default_max_consumers: ${DEFAULT_MAX_CONSUMERS}, max_ack_pending: ${MAX_ACK_PENDING} }`,
    "}",
  ];
  if (settings.websocket !== undefined) {
    lines.push(`websocket { listen: ${listen(host, settings.websocket.port)}, no_tls: true }`);
  }
  if (settings.trust !== undefined) lines.push(...serverTrustLines(settings.trust, quoted(files.resolverDir)));
  if (settings.extraConfig !== undefined) lines.push(settings.extraConfig);
  return lines.join("\n") + "\n";
}

function checkPort(option: string, port: number): void {
  const inRange = Number.isInteger(port) && (port === -1 || (port >= 1 && port <= 65_535));
  if (!inRange) throw new RangeError(`${option} ${port} must be from 1 to 65535, or -1 for a free port`);
}

function listen(host: string, port: number): string {
  return quoted(`${host.includes(":") ? `[${host}]` : host}:${port}`);
}

/** nats-server's double-quoted strings know JSON's escapes for the characters that a path can hold. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
