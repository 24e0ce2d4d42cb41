// Streams that are left early, with more on its way than was read: nothing is left of them, on either side.
import { expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { openFakeCoordinator } from "../../support/fake-coordinator.ts";

test.for(["grpc", "connect", "grpc-web"] as const)(
  "a connection whose streams were left early is closed when the coordinator goes away (%s)",
  async (transport) => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, transport });
    const { taskId } = await client.submit("story");
    await client.outcome(taskId);
    for (let i = 0; i < 20; i += 1) {
      const left = new AbortController();
      // The first message is read; the others are on their way, or here already.
      for await (const _ of client.rpc.streamResults({ taskId }, { signal: left.signal })) {
        await client.status(taskId);
        break;
      }
      left.abort();
    }
    for await (const _ of client.watch(taskId)) break;
    expect(mesh.connections).toBe(1);
    mesh.sendAway();
    await expect.poll(() => mesh.connections).toBe(0);
  },
);

test.for(["grpc", "connect", "grpc-web"] as const)(
  "so is one with downloads that were left in the middle (%s)",
  async (transport) => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, transport });
    const ref = await client.uploadBlob(Buffer.alloc(1_000_000));
    for (let i = 0; i < 3; i += 1) {
      for await (const _ of client.downloadBlob(ref)) break;
    }
    expect(mesh.connections).toBe(1);
    mesh.sendAway();
    await expect.poll(() => mesh.connections).toBe(0);
  },
);
