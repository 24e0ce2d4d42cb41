// Whether this coordinator can do its work now. Anybody may ask, as often as it likes: the broker is asked for all of them together.

import type { Readiness } from "../../lib/rpc/interceptors/probes.ts";

/** For how long what the broker said holds for whoever asks next: shorter than any prober's interval. */
const SHARED_MS = 250;

/** For how long a question without an answer stands for whoever asks next: one may have been lost with its connection. */
const PATIENCE_MS = 2_000;

/** What {@link createReadiness} needs. */
export interface ReadinessOptions {
  readonly connection: { flush(): Promise<void> };
  readonly clock: { monotonicMs(): number };
  /** Aborted once no new work is to come here. */
  readonly draining: AbortSignal;
}

/** Makes the answer to `/readyz`. Never rejects; waits as long as the broker says nothing. */
export function createReadiness({ connection, clock, draining }: ReadinessOptions): () => Promise<Readiness> {
  let shared: { readonly answer: Promise<Readiness>; readonly untilMs: () => number } | undefined;
  const ask = (): Promise<Readiness> => {
    let untilMs = clock.monotonicMs() + PATIENCE_MS;
    const answer = askBroker(connection).finally(() => (untilMs = clock.monotonicMs() + SHARED_MS));
    shared = { answer, untilMs: () => untilMs };
    return answer;
  };
  return async () => {
    if (draining.aborted) return { ready: false, reason: "draining" };
    return shared === undefined || shared.untilMs() <= clock.monotonicMs() ? await ask() : await shared.answer;
  };
}

async function askBroker(connection: ReadinessOptions["connection"]): Promise<Readiness> {
  try {
    await connection.flush();
    return { ready: true };
  } catch {
    return { ready: false, reason: "no connection to NATS" };
  }
}
