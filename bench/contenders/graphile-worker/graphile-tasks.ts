// What the submitter and the worker of graphile-worker must agree on.

import type { QueueName } from "../../support/contender.ts";

/** The identifier of all tasks. */
export const TASK_IDENTIFIER = "bench";
/**
 * Where jobs of each queue live. What nobody serves has tables of its own: a worker walks over the jobs of its tables that are not for it,
 * which is no way to run it.
 */
export const SCHEMAS: Readonly<Record<QueueName, string>> = { served: "graphile_worker", parked: "graphile_parked" };
