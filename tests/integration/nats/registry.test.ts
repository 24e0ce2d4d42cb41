// The registry when its watch of the bucket breaks.

import { Kvm } from "@nats-io/kv";
import { afterEach, expect, test, vi } from "vitest";
import { openNats } from "../../../lib/nats/connection.ts";
import { Registry } from "../../../lib/nats/registry.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { AGENTS_BUCKET } from "../../../lib/wire/subjects.ts";
import { openTestNats } from "../../support/nats.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

test("a registry that is closed while it opens its watch anew does not wait for ever", async () => {
  await using nats = await openTestNats();
  await using closing = new AsyncDisposableStack();
  const connection = await openNats({ servers: nats.url, name: "test" });
  closing.defer(() => connection.close());
  await ensureTopology(connection, { replicas: 1, retentionMs: 86_400_000, maxBytes: -1, agentTtlMs: 3_000 });
  const bucket = await new Kvm(connection).open(AGENTS_BUCKET);
  const [broken, renewed] = [await bucket.watch(), await bucket.watch()];
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<typeof renewed>();
  vi.spyOn(Kvm.prototype, "open").mockResolvedValue(bucket);
  vi.spyOn(bucket, "watch")
    .mockResolvedValueOnce(broken)
    .mockImplementationOnce(() => {
      asked.resolve();
      return answered.promise;
    });
  const registry = await Registry.open(connection, {
    onError: (error) => expect.unreachable(String(error)),
    onGarbage: (key) => expect.unreachable(key),
  });

  broken.stop();
  await asked.promise;
  const closed = registry[Symbol.asyncDispose]();
  answered.resolve(renewed);

  // A watch that nobody stops would keep it for ever.
  await closed;
});
