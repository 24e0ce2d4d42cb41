// Two servers that take themselves for a stream's leader: the one that was cut off is not believed, neither while it is nor afterwards.
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { openNats } from "../../../lib/nats/connection.ts";
import { readFromLeader } from "../../../lib/nats/stream-leader.ts";
import { openTcpProxy, type TcpProxy } from "../../faults/mesh/tcp-proxy.ts";
import { type NatsCluster, type NatsNode, openNatsCluster } from "../../support/nats-cluster.ts";

const STREAM = "LED";

let stack: AsyncDisposableStack;
let cluster: NatsCluster;
let routes: { readonly ends: readonly [number, number]; readonly proxy: TcpProxy }[];
beforeAll(async () => {
  stack = new AsyncDisposableStack();
  routes = [];
  cluster = stack.use(
    await openNatsCluster({
      routeVia: async (from, to, targetPort) => {
        const proxy = stack.use(await openTcpProxy({ targetPort }));
        routes.push({ ends: [from, to], proxy });
        return proxy.port;
      },
    }),
  );
  const connection = await connected(cluster.url);
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: STREAM, subjects: ["led.>"], num_replicas: 3 });
});
afterAll(() => stack[Symbol.asyncDispose]());

test("a leader that was cut off from the others is not believed, whoever asks", { timeout: 90_000 }, async () => {
  const leader = await cluster.leaderOf(STREAM);
  const beside = await connected(leader.url);
  const others = await Promise.all(othersThan(leader).map(({ url }) => connected(url)));
  const own = routes.filter(({ ends }) => ends.includes(leader.index));
  await Promise.all(own.map(({ proxy }) => proxy.cut()));
  const sequence = await stored(others[0]!, "led.after");

  // It does not know what the others have stored since, and says that there is nothing.
  const query = { last_by_subj: "led.after" };
  const said = await beside.request(`$JS.API.STREAM.MSG.GET.${STREAM}`, JSON.stringify(query));
  expect(said.json()).toMatchObject({ error: { err_code: 10037 } });
  await expect(readFromLeader(beside, STREAM, query)).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
  for (const other of others) expect(await readFromLeader(other, STREAM, query)).toMatchObject({ sequence });

  await Promise.all(own.map(({ proxy }) => proxy.heal()));
  // Until it has noticed, it answers everybody. The others may have to elect once more, and say so.
  for (const other of others) {
    for (let told = 0; told < 15;) {
      const read = await readFromLeader(other, STREAM, query).catch(unavailable);
      if (read === "unavailable") continue;
      expect(read?.sequence).toBe(sequence);
      told += 1;
    }
  }
});

test("what the one with the majority says goes further than what others know", async () => {
  const connection = await connected(cluster.url);
  const sequence = await stored(connection, "led.both");
  await cluster.stepDown(STREAM);
  const nothing = JSON.stringify({ error: { code: 404, err_code: 10037, description: "no message found" } });
  const pretender = await connected(cluster.url);
  pretender.subscribe(`$JS.API.STREAM.MSG.GET.${STREAM}`, {
    callback: (_error, message) => void message.respond(nothing),
  });
  await pretender.flush();

  expect(await readFromLeader(connection, STREAM, { last_by_subj: "led.both" })).toMatchObject({ sequence });
  const next = { seq: 1, next_by_subj: "led.both" };
  expect(await readFromLeader(connection, STREAM, next)).toMatchObject({ sequence });
  expect(await readFromLeader(connection, STREAM, { last_by_subj: "led.none" })).toBeUndefined();
});

async function connected(servers: string): Promise<NatsConnection> {
  return stack.adopt(await openNats({ servers, name: "test" }), (connection) => connection.close());
}

function othersThan(node: NatsNode): readonly NatsNode[] {
  return cluster.nodes.filter((other) => other !== node);
}

function unavailable(error: unknown): "unavailable" {
  if (error instanceof MeshError && error.reason === "BROKER_UNAVAILABLE") return "unavailable";
  throw error;
}

/** Stores a message, once there is a leader that can. */
async function stored(connection: NatsConnection, subject: string): Promise<number> {
  while (!connection.isClosed()) {
    const ack = await jetstream(connection)
      .publish(subject, "", { timeout: 1_000 })
      .catch(() => undefined);
    if (ack !== undefined) return ack.seq;
  }
  throw new Error("nothing could be stored");
}
