// Remembers the deliveries that came lately. The broker counts every delivery of a message, so one that comes twice under the same count
// was doubled on its way: whoever works on both runs one attempt twice.

/** How many deliveries are remembered at least. */
const REMEMBERED = 10_000;

/** Recognises deliveries that came before. */
export class RecentDeliveries {
  #newer: Set<string> = new Set();
  #older: Set<string> = new Set();

  /** Whether a delivery is a new one, by the subject on which it is acknowledged; from then on it is not. */
  isNew(reply: string): boolean {
    if (this.#newer.has(reply) || this.#older.has(reply)) return false;
    this.#newer.add(reply);
    if (this.#newer.size >= REMEMBERED) {
      this.#older = this.#newer;
      this.#newer = new Set();
    }
    return true;
  }
}
