// Remembers the deliveries that came lately. The broker counts every delivery of a message, so one that comes twice under the same count
// was doubled on its way: whoever works on both runs one attempt twice.
import type { DeliverySubject } from "../../lib/wire/subjects.ts";

/** How many deliveries of each consumer are remembered. */
const REMEMBERED = 10_000;

/** Recognises deliveries that came before. */
export class RecentDeliveries {
  readonly #lanes = new Map<string, RecentOfLane>();

  /** Whether a delivery is a new one, by the subject on which it is acknowledged; from then on it is not. */
  isNew({ consumer, consumerSequence }: DeliverySubject, reply: string): boolean {
    let recent = this.#lanes.get(consumer);
    if (recent === undefined) this.#lanes.set(consumer, (recent = new RecentOfLane()));
    if (recent.holds(consumerSequence, reply)) return false;
    recent.add(consumerSequence, reply);
    return true;
  }
}

/**
 * The last deliveries of one consumer. It numbers them, so a number above all that are remembered is a new one without a search: looking
 * up whole subjects takes ten times as long. Numbers that start anew, as a consumer that was made again does, only take the search.
 */
class RecentOfLane {
  readonly #sequences: number[] = [];
  readonly #replies: string[] = [];
  /** Where the next one goes: the oldest one makes room. */
  #next = 0;
  #highest = -1;

  holds(sequence: number, reply: string): boolean {
    if (sequence > this.#highest) return false;
    for (let at = this.#sequences.indexOf(sequence); at >= 0; at = this.#sequences.indexOf(sequence, at + 1)) {
      if (this.#replies[at] === reply) return true;
    }
    return false;
  }

  add(sequence: number, reply: string): void {
    const forgotten = this.#sequences[this.#next];
    this.#sequences[this.#next] = sequence;
    this.#replies[this.#next] = reply;
    this.#next = (this.#next + 1) % REMEMBERED;
    if (sequence > this.#highest) this.#highest = sequence;
    else if (forgotten === this.#highest) this.#highest = this.#sequences.reduce((a, b) => Math.max(a, b), -1);
  }
}
