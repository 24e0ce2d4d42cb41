// What the submitter and the worker of BullMQ must agree on.

import type { DefaultJobOptions } from "bullmq";

/** Where the server listens, as both sides are told. Everything else about connections is left to BullMQ. */
export function connectionTo(port: number): { readonly host: string; readonly port: number } {
  return { host: "127.0.0.1", port };
}

/** Jobs that have ended are removed at once, which is the cheapest that BullMQ can do with them. */
export const JOB_OPTIONS: DefaultJobOptions = { removeOnComplete: true };
/** The name of all jobs. */
export const JOB_NAME = "task";
