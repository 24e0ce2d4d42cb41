// Holds submissions while the broker does not answer: an election or a restart then makes a caller wait, instead of failing it.

import { MeshError } from "../../../lib/core/mesh-error.ts";
import { pause } from "../../../lib/time/pause.ts";

/** How long a submission is held, in milliseconds: longer than JetStream needs to elect a leader (4 to 12 s). */
export const HOLD_MS = 15_000;

/** How many submissions are held at once. Those beyond are refused at once: what is held takes memory. */
const MAX_HELD = 10_000;

/** How long to wait before another try, in milliseconds. A try costs one message that nobody takes. */
const RETRY_MS = 200;

/** Holds submissions for at most `holdMs`; 0 for not at all. */
export class OutageHold {
  readonly #holdMs: number;
  readonly #monotonicMs: () => number;
  #held = 0;

  constructor(holdMs: number, monotonicMs: () => number) {
    this.#holdMs = holdMs;
    this.#monotonicMs = monotonicMs;
  }

  /** Does work that is safe to repeat until the broker has answered. Throws BROKER_UNAVAILABLE when it does not for too long. */
  async over<T>(work: () => Promise<T>): Promise<T> {
    const startMs = this.#monotonicMs();
    let held = false;
    try {
      for (;;) {
        try {
          return await work();
        } catch (error) {
          const unavailable = error instanceof MeshError && error.reason === "BROKER_UNAVAILABLE";
          if (!unavailable || this.#monotonicMs() - startMs + RETRY_MS > this.#holdMs) throw error;
          if (!held && this.#held >= MAX_HELD) throw error;
        }
        if (!held) this.#held += 1;
        held = true;
        await pause(RETRY_MS);
      }
    } finally {
      if (held) this.#held -= 1;
    }
  }
}
