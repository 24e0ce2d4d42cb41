// The measurements of the mesh alone, in the order in which they run and are shown.

import type { ScaleScenario } from "./figure.ts";

/** All of them. */
export const SCALE_SCENARIOS: readonly ScaleScenario[] = [];
