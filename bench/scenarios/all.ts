// The scenarios, in the order in which they run and are shown.

import { HALF_LOAD, IDLE } from "./latency.ts";
import type { Scenario } from "./scenario.ts";
import { SERVED_EMPTY, SERVED_SUBMIT } from "./served.ts";
import { BULK, BULK_LARGE, STREAM } from "./throughput.ts";
import { EMPTY_CALL, SUBMIT_COMPLETE, SUBMIT_ONLY } from "./unary.ts";

/** All scenarios. */
export const SCENARIOS: readonly Scenario[] = [
  BULK,
  BULK_LARGE,
  STREAM,
  ...SUBMIT_ONLY,
  ...SUBMIT_COMPLETE,
  IDLE,
  HALF_LOAD,
  ...EMPTY_CALL,
  ...SERVED_EMPTY,
  ...SERVED_SUBMIT,
];
