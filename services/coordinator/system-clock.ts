// This machine's clocks, as a coordinator and its threads read them.

import type { Clock } from "../../lib/core/clock.ts";

/** The wall clock and the monotonic one. */
export const SYSTEM_CLOCK: Clock = { now: () => Date.now(), monotonicMs: () => performance.now() };
