import { expect, test } from "vitest";
import { silentLogger } from "../../../lib/core/logger.ts";
import type { QueueSettingsListener } from "../../../lib/nats/queue-settings.ts";
import { openPauseFollower } from "../../../services/coordinator/queues/pause-follower.ts";

function open(known: readonly string[], settle: (queue: string) => Promise<void>) {
  const listeners = new Set<QueueSettingsListener>();
  const settled: string[] = [];
  const follower = openPauseFollower({
    settings: {
      known: known.map((queue) => ({ tenant: "t", queue })),
      listen: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    pauses: {
      settle: async (_tenant, queue) => {
        settled.push(queue);
        await settle(queue);
      },
    },
    logger: silentLogger,
    retryMs: 1,
  });
  const change = (queue: string): void => {
    for (const listener of listeners) listener("t", queue);
  };
  return { follower, settled, change, listeners };
}

test("every queue of which something is known is looked at once at the start, and again after each change", async () => {
  const { follower, settled, change } = open(["a", "b"], () => Promise.resolve());
  await expect.poll(() => settled).toEqual(["a", "b"]);
  change("b");
  await expect.poll(() => settled).toEqual(["a", "b", "b"]);
  await follower[Symbol.asyncDispose]();
});

test("changes of a queue that is being looked at are looked at once more, however many they are", async () => {
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  const { follower, settled, change } = open(["a"], () => held);
  await expect.poll(() => settled).toEqual(["a"]);
  for (let i = 0; i < 5; i += 1) change("a");
  letGo();
  await expect.poll(() => settled).toEqual(["a", "a"]);
  await follower[Symbol.asyncDispose]();
});

test("a queue that could not be settled is tried again, and does not keep the others waiting for good", async () => {
  let failures = 2;
  const { follower, settled } = open(["a", "b"], async (queue) => {
    if (queue === "a" && (failures -= 1) >= 0) throw new Error("no broker");
  });
  await expect.poll(() => settled).toEqual(["a", "b", "a", "a"]);
  await follower[Symbol.asyncDispose]();
});

test("nothing is looked at any more once it is closed", async () => {
  const { follower, settled, change, listeners } = open(["a"], () => Promise.reject(new Error("no broker")));
  await expect.poll(() => settled.length).toBeGreaterThan(1);
  await follower[Symbol.asyncDispose]();
  const before = settled.length;
  change("a");
  expect(settled).toHaveLength(before);
  expect(listeners.size).toBe(0);
});
