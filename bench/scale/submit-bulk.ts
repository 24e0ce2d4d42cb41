// Submits many tasks in few calls, over all coordinators in turn.

import { inFlight } from "../support/in-flight.ts";
import type { Coordinator } from "./mesh/coordinator.ts";

/** What to submit. */
export interface BulkOrder {
  readonly coordinators: readonly Coordinator[];
  /** Tasks are named `<prefix>-<number>`. */
  readonly prefix: string;
  readonly type: string;
  readonly count: number;
  /** The number of the first task; 0 if left out. */
  readonly from?: number;
  /** How many tasks go into a call; 1,000 if left out. */
  readonly perCall?: number;
}

const PER_CALL = 1_000;
const CALLS_IN_FLIGHT = 4;

/** Submits them, 4 calls at a time for each coordinator. Resolves when all are stored. */
export async function submitBulk(order: BulkOrder): Promise<void> {
  const { coordinators, prefix, type, count, from = 0, perCall = PER_CALL } = order;
  const calls = Math.ceil(count / perCall);
  await inFlight(calls, CALLS_IN_FLIGHT * coordinators.length, async (call) => {
    const first = call * perCall;
    const size = Math.min(perCall, count - first);
    const ids = Array.from({ length: size }, (_, i) => `${prefix}-${from + first + i}`);
    await coordinators[call % coordinators.length]?.submitAll(ids, type);
  });
}
