// Waiting for what comes about by itself, for as long as a busy machine may need.
import { expect } from "vitest";

/** How long to wait, in milliseconds. */
const PATIENCE_MS = 30_000;

/** What `read` gives, once it is as the matcher wants it; fails after half a minute, or after `timeout` milliseconds. */
export function soon<T>(
  read: () => T,
  { timeout = PATIENCE_MS }: { readonly timeout?: number } = {},
): ReturnType<typeof expect.poll<T>> {
  return expect.poll(read, { timeout, interval: 25 });
}
