// Bounds what peers may leave unread: answers wait in this process's memory for as long as a peer does not take them. It must not judge
// peers that are merely slow, nor streams that somebody pauses: only connections for which much waits and nothing moves.

/** A connection, as far as its unsent bytes go. */
export interface UnsentConnection {
  /** How many bytes wait to be sent. */
  unsentBytes(): number;
  /** How many bytes have left so far. */
  sentBytes(): number;
  /** Cuts it. */
  cut(): void;
}

/** Bounds of unsent bytes. */
export interface UnsentLimits {
  /** How long a connection may take nothing while much waits for it, in milliseconds. */
  readonly sendTimeoutMs: number;
  /** How many bytes may wait for all connections together. */
  readonly maxUnsentBytes: number;
}

/** Less than this may wait for as long as a peer likes: as when an application pauses a stream. */
const MUCH_BYTES: number = 4 * 1024 * 1024;

/** How often is looked, in milliseconds, at most. */
const LOOK_MS = 5_000;

interface Standing {
  sentBytes: number;
  sinceMs: number;
}

/** Watches connections from when they are added until they are removed. */
export class UnsentWatch implements Disposable {
  readonly #limits: UnsentLimits;
  readonly #connections = new Map<UnsentConnection, Standing>();
  readonly #timer: NodeJS.Timeout;

  constructor(limits: UnsentLimits) {
    this.#limits = limits;
    this.#timer = setInterval(() => this.#look(), Math.min(LOOK_MS, Math.ceil(limits.sendTimeoutMs / 4)));
    this.#timer.unref();
  }

  add(connection: UnsentConnection): void {
    this.#connections.set(connection, { sentBytes: 0, sinceMs: performance.now() });
  }

  remove(connection: UnsentConnection): void {
    this.#connections.delete(connection);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const nowMs = performance.now();
    const waiting: { readonly connection: UnsentConnection; readonly bytes: number }[] = [];
    let total = 0;
    for (const [connection, standing] of this.#connections) {
      const bytes = connection.unsentBytes();
      const sentBytes = connection.sentBytes();
      if (bytes < MUCH_BYTES || sentBytes !== standing.sentBytes) {
        standing.sentBytes = sentBytes;
        standing.sinceMs = nowMs;
      } else if (nowMs - standing.sinceMs >= this.#limits.sendTimeoutMs) {
        connection.cut();
        continue;
      }
      total += bytes;
      if (bytes > 0) waiting.push({ connection, bytes });
    }
    if (total <= this.#limits.maxUnsentBytes) return;
    // Those for whom most waits go first: cutting others would help nobody.
    for (const { connection, bytes } of waiting.sort((a, b) => b.bytes - a.bytes)) {
      if (total <= this.#limits.maxUnsentBytes) return;
      total -= bytes;
      connection.cut();
    }
  }
}
