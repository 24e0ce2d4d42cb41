// One way through a TCP proxy: the bytes of one socket on their way to another, as late, as slowly, as incompletely as the faults say.
import type { Socket } from "node:net";

/** The faults of one way, shared by all connections of a proxy. */
export interface FlowFaults {
  delayMs: number;
  jitterMs: number;
  bytesPerSecond: number;
  /** Nothing is read or forwarded. */
  stopped: boolean;
  /** How many bytes may still pass before all others are thrown away. */
  passBytes: number;
  /** When the bytes that were let through so far have used up the rate. */
  rateFreeMs: number;
}

/** No faults. */
export function noFaults(): FlowFaults {
  return {
    delayMs: 0,
    jitterMs: 0,
    bytesPerSecond: Number.POSITIVE_INFINITY,
    stopped: false,
    passBytes: Number.POSITIVE_INFINITY,
    rateFreeMs: 0,
  };
}

/** One flow under way. */
export interface TcpFlow {
  /** Bytes were thrown away: the receiver must never see what follows. */
  readonly lossy: boolean;
  /** The faults have changed. */
  wake(): void;
  /** The faults are over: what is late leaves now. */
  heal(): void;
  /** Ends the flow towards the receiver, as if the sender had. */
  end(): void;
  /** The connection is gone: lets go of everything. */
  close(): void;
}

interface Piece {
  dueMs: number;
  /** Undefined for the sender's end. */
  readonly bytes: Buffer | undefined;
}

/** What may wait between the sockets before the sender is asked to wait. */
const MAX_QUEUED_BYTES = 256 * 1024;

/** A slow link hands on this many pieces a second. */
const PIECES_PER_SECOND = 20;

/** Starts to carry what `from` sends to `to`. */
export function openFlow(from: Socket, to: Socket, faults: FlowFaults): TcpFlow {
  const queue: Piece[] = [];
  let queuedBytes = 0;
  let lastDueMs = 0;
  let lossy = false;
  let ended = false;
  let blocked = false;
  let timer: NodeJS.Timeout | undefined;

  const push = (bytes: Buffer | undefined): void => {
    const lateMs = faults.delayMs + Math.random() * faults.jitterMs;
    let dueMs = Math.max(lastDueMs, performance.now() + lateMs);
    if (bytes !== undefined && faults.bytesPerSecond !== Number.POSITIVE_INFINITY) {
      dueMs = Math.max(dueMs, faults.rateFreeMs) + (bytes.length / faults.bytesPerSecond) * 1_000;
      faults.rateFreeMs = dueMs;
    }
    lastDueMs = dueMs;
    queue.push({ dueMs, bytes });
    queuedBytes += bytes?.length ?? 0;
  };

  const take = (chunk: Buffer): void => {
    const piece = Math.max(1, Math.ceil(faults.bytesPerSecond / PIECES_PER_SECOND));
    for (let at = 0; at < chunk.length; at += piece) push(chunk.subarray(at, Math.min(at + piece, chunk.length)));
    pump();
  };

  /** Hands on what may pass. After a loss the receiver gets nothing any more, not even the end. */
  const hand = (bytes: Buffer | undefined): void => {
    if (bytes === undefined) {
      lossy ||= faults.passBytes <= 0;
      if (!lossy) finish();
      return;
    }
    const pass = lossy ? 0 : Math.min(bytes.length, faults.passBytes);
    faults.passBytes -= pass;
    lossy ||= pass < bytes.length;
    if (pass > 0) blocked = !to.write(bytes.subarray(0, pass));
  };

  const pump = (): void => {
    clearTimeout(timer);
    timer = undefined;
    while (!faults.stopped && !blocked) {
      const [next] = queue;
      if (next === undefined) break;
      const waitMs = next.dueMs - performance.now();
      if (waitMs > 0) {
        timer = setTimeout(pump, waitMs);
        break;
      }
      queue.shift();
      queuedBytes -= next.bytes?.length ?? 0;
      hand(next.bytes);
    }
    if (faults.stopped || queuedBytes > MAX_QUEUED_BYTES) from.pause();
    else from.resume();
  };

  const finish = (): void => {
    if (ended) return;
    ended = true;
    to.end();
  };

  const onDrain = (): void => {
    blocked = false;
    pump();
  };
  const onEnd = (): void => {
    push(undefined);
    pump();
  };
  from.on("data", take);
  from.once("end", onEnd);
  to.on("drain", onDrain);
  pump();
  return {
    get lossy() {
      return lossy;
    },
    wake: pump,
    heal() {
      for (const piece of queue) piece.dueMs = 0;
      lastDueMs = 0;
      pump();
    },
    end: finish,
    close() {
      clearTimeout(timer);
      from.off("data", take);
      from.off("end", onEnd);
      to.off("drain", onDrain);
    },
  };
}
