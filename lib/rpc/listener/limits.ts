// The limits of a listener: what one peer may cost, and how long it may take. Defaults are safe for a port that anyone
// can reach; Node's own are wide open.

/** Limits of a listener. All are whole numbers. */
export interface ListenerLimits {
  /** Open connections, at least 1; one more is closed at once. Default 8192. */
  readonly maxConnections: number;
  /**
   * Open connections from one IP address, at least 1. Default as many as `maxConnections`, because behind a proxy all
   * peers share one address.
   */
  readonly maxConnectionsPerPeer: number;
  /** How long a new connection may stay silent, or leave the HTTP/2 handshake unfinished; 1 to 600,000. Default 10 s. */
  readonly firstByteTimeoutMs: number;
  /** HTTP/1: how long a request's headers may take; 1 to 600,000. Default 10 s. */
  readonly headersTimeoutMs: number;
  /**
   * HTTP/1: how long a whole request (headers and body) may take to arrive; 1 to 3,600,000. Default 60 s. Does not limit
   * the response.
   */
  readonly requestTimeoutMs: number;
  /**
   * HTTP/1: how long an idle connection is kept for the next request; 1 to 3,600,000. Default 65 s: longer than the
   * 60 s after which common proxies give a connection up, so that they do it first.
   */
  readonly keepAliveTimeoutMs: number;
  /** Bytes of a request's headers, 1024 to 1 MiB. Default 16 KiB. */
  readonly maxHeaderBytes: number;
  /** Number of a request's headers, 16 to 2000. Default 128. */
  readonly maxHeaderPairs: number;
  /**
   * HTTP/2: open streams of one connection, 1 to 100,000. Default 1000: a gateway carries that many StreamResults on
   * one connection. gRPC's GRPC_ARG_MAX_CONCURRENT_STREAMS.
   */
  readonly maxConcurrentStreams: number;
  /** HTTP/2: memory of one connection's native state in MB, 1 to 1024. Default 32. */
  readonly maxSessionMemoryMb: number;
  /**
   * HTTP/2: how often a connection that was silent since the last look is pinged; 1 to 7,200,000. Default 60 s. gRPC's
   * GRPC_ARG_KEEPALIVE_TIME_MS.
   */
  readonly pingIntervalMs: number;
  /** HTTP/2: how long the answer to a ping may take; 1 to 600,000. Default 20 s. gRPC's GRPC_ARG_KEEPALIVE_TIMEOUT_MS. */
  readonly pingTimeoutMs: number;
  /**
   * HTTP/2: how long a connection without calls is kept; 1 to 2,000,000,000. Default 30 min. Then the peer is told to go, and comes back
   * when it has something to ask. gRPC's GRPC_ARG_MAX_CONNECTION_IDLE_MS.
   */
  readonly idleTimeoutMs: number;
  /** How long a peer may take nothing while at least 4 MiB wait for it; 1 to 3,600,000. Default 60 s. Then it is cut off. */
  readonly sendTimeoutMs: number;
  /** Bytes that wait for all peers together, 1 MiB to 1 TiB. Default 512 MiB. Beyond that, those for whom most waits are cut off. */
  readonly maxUnsentBytes: number;
}

const KiB = 1024;

const RANGES: Readonly<
  Record<keyof ListenerLimits, { readonly from: number; readonly to: number; readonly default: number }>
> = {
  maxConnections: { from: 1, to: 1_000_000, default: 8192 },
  maxConnectionsPerPeer: { from: 1, to: 1_000_000, default: 8192 },
  firstByteTimeoutMs: { from: 1, to: 600_000, default: 10_000 },
  headersTimeoutMs: { from: 1, to: 600_000, default: 10_000 },
  requestTimeoutMs: { from: 1, to: 3_600_000, default: 60_000 },
  keepAliveTimeoutMs: { from: 1, to: 3_600_000, default: 65_000 },
  maxHeaderBytes: { from: KiB, to: KiB * KiB, default: 16 * KiB },
  maxHeaderPairs: { from: 16, to: 2000, default: 128 },
  maxConcurrentStreams: { from: 1, to: 100_000, default: 1000 },
  maxSessionMemoryMb: { from: 1, to: 1024, default: 32 },
  pingIntervalMs: { from: 1, to: 7_200_000, default: 60_000 },
  pingTimeoutMs: { from: 1, to: 600_000, default: 20_000 },
  idleTimeoutMs: { from: 1, to: 2_000_000_000, default: 1_800_000 },
  sendTimeoutMs: { from: 1, to: 3_600_000, default: 60_000 },
  maxUnsentBytes: { from: KiB * KiB, to: KiB * KiB * KiB * KiB, default: 512 * KiB * KiB },
};

/**
 * Fills in the defaults.
 *
 * @throws RangeError that names the limit, its value and its range.
 */
export function resolveLimits(given: Partial<ListenerLimits> = {}): ListenerLimits {
  const limit = (name: keyof ListenerLimits, fallback: number = RANGES[name].default): number => {
    const value = given[name] ?? fallback;
    const { from, to } = RANGES[name];
    if (!Number.isInteger(value) || value < from || value > to) {
      throw new RangeError(`${name} must be a whole number from ${from} to ${to}, got ${value}`);
    }
    return value;
  };
  const maxConnections = limit("maxConnections");
  const headersTimeoutMs = limit("headersTimeoutMs");
  const requestTimeoutMs = limit("requestTimeoutMs");
  if (requestTimeoutMs < headersTimeoutMs) {
    throw new RangeError(
      `requestTimeoutMs must be at least headersTimeoutMs (${headersTimeoutMs}), got ${requestTimeoutMs}`,
    );
  }
  return {
    maxConnections,
    maxConnectionsPerPeer: limit("maxConnectionsPerPeer", maxConnections),
    firstByteTimeoutMs: limit("firstByteTimeoutMs"),
    headersTimeoutMs,
    requestTimeoutMs,
    keepAliveTimeoutMs: limit("keepAliveTimeoutMs"),
    maxHeaderBytes: limit("maxHeaderBytes"),
    maxHeaderPairs: limit("maxHeaderPairs"),
    maxConcurrentStreams: limit("maxConcurrentStreams"),
    maxSessionMemoryMb: limit("maxSessionMemoryMb"),
    pingIntervalMs: limit("pingIntervalMs"),
    pingTimeoutMs: limit("pingTimeoutMs"),
    idleTimeoutMs: limit("idleTimeoutMs"),
    sendTimeoutMs: limit("sendTimeoutMs"),
    maxUnsentBytes: limit("maxUnsentBytes"),
  };
}
