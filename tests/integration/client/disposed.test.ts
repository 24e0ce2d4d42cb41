// What is left of clients that were disposed: nothing.
import { connect, type ClientHttp2Session } from "node:http2";
import { queryObjects } from "node:v8";
import { expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { openFakeCoordinator } from "../../support/fake-coordinator.ts";

const CLIENTS = 20;

/** How many HTTP/2 sessions of clients are in memory, closed ones included, after a collection. */
function sessionsInMemory(one: ClientHttp2Session): number {
  return queryObjects(one.constructor, { format: "count" });
}

test.for(["whose calls have ended", "with a call under way"])(
  "a disposed client %s leaves no connection in memory",
  async (which) => {
    await using mesh = await openFakeCoordinator();
    // A session to find the class by, which Node exports nowhere.
    const session = connect(mesh.url);
    const before = sessionsInMemory(session);
    for (let i = 0; i < CLIENTS; i += 1) {
      await using client = createClient({ url: mesh.url });
      const { taskId } = await client.submit("echo", "x");
      if (which === "with a call under way") void client.outcome(taskId).catch(() => undefined);
    }
    await expect.poll(() => sessionsInMemory(session), { timeout: 10_000 }).toBeLessThan(before + CLIENTS / 4);
    session.destroy();
  },
);
