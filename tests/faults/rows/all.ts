// The fault matrix, in the order in which it is run.
import type { Row } from "../row.ts";
import { AGENT_ROWS } from "./agents.ts";
import { BROKER_ROWS } from "./broker.ts";
import { COORDINATOR_ROWS } from "./coordinators.ts";

/** All rows. */
export const ROWS: readonly Row[] = [...AGENT_ROWS, ...COORDINATOR_ROWS, ...BROKER_ROWS];
