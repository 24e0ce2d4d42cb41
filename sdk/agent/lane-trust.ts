// From when on a lane's first deliveries are first ones. A consumer that was deleted and made again delivers everything anew; a broker
// that was killed has forgotten what it delivered last. Either way, a first delivery by its count may be of a message that has run.
//
// A consumer in a cluster needs no more than that: its leader holds each delivery back until the majority knows of it, so that the next
// leader counts on where it stopped (nats-server 2.14 and newer, for consumers that acknowledge one by one).

import type { DeliverySubject } from "../../lib/wire/subjects.ts";

/** What of a delivery tells whether its consumer's counts can be relied upon. */
export type CountedDelivery = Pick<DeliverySubject, "consumer" | "consumerSequence" | "deliveries" | "sequence">;

/** Notices consumers whose counts cannot be relied upon. */
export class LaneTrust {
  /** What each consumer counted last. */
  readonly #counted = new Map<string, number>();
  /** The stream sequence of the last message that each consumer said to deliver for the first time. */
  readonly #firsts = new Map<string, number>();
  readonly #doubted = new Set<string>();
  /** From when on a message must have been stored to be believed, by consumer, in milliseconds since 1970. */
  readonly #sinceMs = new Map<string, number>();

  /** Takes in a delivery, and says whether its consumer's counts can be relied upon. */
  trusts({ consumer, consumerSequence, deliveries, sequence }: CountedDelivery): boolean {
    const last = this.#counted.get(consumer) ?? 0;
    this.#counted.set(consumer, consumerSequence);
    if (consumerSequence <= last) this.#doubted.add(consumer);
    // One that was made again may have counted past the last number that this agent knows; but it began at the oldest message anew.
    if (deliveries === 1) {
      if (sequence <= (this.#firsts.get(consumer) ?? 0)) this.#doubted.add(consumer);
      this.#firsts.set(consumer, sequence);
    }
    return !this.#doubted.has(consumer);
  }

  /** The consumer was away, or its broker: what comes next may have come before. */
  doubt(consumer: string): void {
    this.#doubted.add(consumer);
  }

  /** A new session was given at this time, by the mesh's clock: what is stored later cannot have been delivered before the doubt. */
  renewed(sessionMs: number): void {
    for (const consumer of this.#doubted) this.#sinceMs.set(consumer, sessionMs);
    this.#doubted.clear();
  }

  /** From when on a message of the consumer must have been stored to be believed, in milliseconds since 1970; 0 if nothing was doubted. */
  sinceMs(consumer: string): number {
    return this.#doubted.has(consumer) ? Number.POSITIVE_INFINITY : (this.#sinceMs.get(consumer) ?? 0);
  }
}
