// What the submitter and the worker of pg-boss must agree on.

import type { Queue } from "pg-boss";

/**
 * Each queue has a table of its own, and wakes its workers by NOTIFY: the fastest that pg-boss offers, as without it a worker that found
 * nothing looks again after half a second at the earliest.
 */
export const QUEUE_OPTIONS: Omit<Queue, "name"> = { partition: true, notify: true };
