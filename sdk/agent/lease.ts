// Owns the hold on one delivery: when it was renewed last, when that is due again, and whether it may be over. What follows from an
// end is the attempt's to decide.
import type { AttemptHost } from "./attempt-host.ts";
import type { Delivery } from "./delivery.ts";

const WORK_IN_PROGRESS = "+WPI";
// How much of a lease is trusted; well above the third after which it is renewed.
const TRUST = 0.9;

/** The lease of a delivery, which begins when it arrives. All times are of the monotonic clock. */
export class Lease {
  readonly #host: Pick<AttemptHost, "link" | "leaseMs">;
  readonly #reply: string;
  #renewedMs: number;

  constructor(host: Pick<AttemptHost, "link" | "leaseMs">, { reply, receivedMs }: Delivery) {
    this.#host = host;
    this.#reply = reply;
    this.#renewedMs = receivedMs;
  }

  /** When it must be renewed. */
  get dueMs(): number {
    return this.#renewedMs + this.#host.leaseMs() / 3;
  }

  /** Whether it may be over. The broker's clock began to run a little before ours: it is presumed lost before it is. */
  lapsed(nowMs: number): boolean {
    return nowMs - this.#renewedMs > this.#host.leaseMs() * TRUST;
  }

  /** Renews it. A renewal that cannot be sent is no renewal: without a connection the lease runs out. */
  renew(nowMs: number): void {
    if (!this.#host.link.connected) return;
    this.#host.link.publish(this.#reply, WORK_IN_PROGRESS);
    this.#renewedMs = nowMs;
  }

  /** Why it lapsed, for people. */
  silence(nowMs: number): string {
    return `no renewal for ${Math.round(nowMs - this.#renewedMs)} ms, the lease is ${this.#host.leaseMs()} ms`;
  }
}
