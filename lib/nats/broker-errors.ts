// What callers are told when the broker does not do what it was asked. Which of its answers mean what is up to the callers.

import { MeshError } from "../core/mesh-error.ts";

/** How long callers should wait when the broker does not answer, in milliseconds. */
const BROKER_RETRY_MS = 1_000;

/** How long callers should wait when the log is full, in milliseconds. */
const STORAGE_RETRY_MS = 10_000;

/** The error for a broker that does not answer. */
export function brokerUnavailable(cause: unknown): MeshError {
  return new MeshError("BROKER_UNAVAILABLE", "the log can't be reached now", { retryDelayMs: BROKER_RETRY_MS, cause });
}

/** The error for a stream that nobody leads. */
export function notServed(): MeshError {
  return brokerUnavailable(new Error("the stream has no leader"));
}

/** The error for a read that the broker did not answer as it must. */
export function readUnavailable(why: string, cause?: unknown): MeshError {
  return brokerUnavailable(new Error(why, { cause }));
}

/** The error for a log that takes no more. */
export function storageFull(): MeshError {
  return new MeshError("STORAGE_FULL", "the log is full", { retryDelayMs: STORAGE_RETRY_MS });
}
