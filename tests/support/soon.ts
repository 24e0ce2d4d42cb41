// Waiting for what comes about by itself, for as long as a busy machine may need.
import { expect, vi } from "vitest";

/** How long to wait, in milliseconds. */
const PATIENCE_MS = 30_000;

/** What `read` gives, once it is as the matcher wants it; fails after half a minute, or after `timeout` milliseconds. */
export function soon<T>(
  read: () => T,
  { timeout = PATIENCE_MS }: { readonly timeout?: number } = {},
): ReturnType<typeof expect.poll<T>> {
  return expect.poll(read, { timeout, interval: 25 });
}

/** What `attempt` returns, once it does not throw any more; throws what it threw last after half a minute. */
export async function onceItWorks<T>(attempt: () => T | Promise<T>): Promise<T> {
  return await vi.waitFor(attempt, { timeout: PATIENCE_MS, interval: 25 });
}
