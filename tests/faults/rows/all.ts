// The fault matrix, in the order in which it is run.
import type { Row } from "../row.ts";
import { AGENT_ROWS } from "./agents.ts";
import { BROKER_ROWS } from "./broker.ts";
import { CLUSTER_ROWS } from "./cluster.ts";
import { COORDINATOR_ROWS } from "./coordinators.ts";
import { LINK_ROWS } from "./links.ts";
import { LOAD_ROWS } from "./load.ts";
import { STEP_ROWS } from "./steps.ts";

/** All rows. */
export const ROWS: readonly Row[] = [
  ...AGENT_ROWS,
  ...COORDINATOR_ROWS,
  ...STEP_ROWS,
  ...BROKER_ROWS,
  ...CLUSTER_ROWS,
  ...LINK_ROWS,
  ...LOAD_ROWS,
];
