// The measurements of the mesh alone, in the order in which they run and are shown.

import { BACKLOG } from "./backlog.ts";
import { FAN_OUT } from "./fan-out.ts";
import type { ScaleScenario } from "./figure.ts";
import { IDLE_STREAMS } from "./idle-streams.ts";
import { MANY_AGENTS } from "./many-agents.ts";
import { SCALE_OUT } from "./scale-out.ts";
import { STREAMED_OUTPUT } from "./streamed-output.ts";
import { TRACING } from "./tracing.ts";

/** All of them. */
export const SCALE_SCENARIOS: readonly ScaleScenario[] = [
  BACKLOG,
  IDLE_STREAMS,
  TRACING,
  MANY_AGENTS,
  FAN_OUT,
  STREAMED_OUTPUT,
  SCALE_OUT,
];
