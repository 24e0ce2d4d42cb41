// A JetStream cluster of real servers, as fault tests use it.
import { once } from "node:events";
import { createServer, connect as dial, type Socket } from "node:net";

import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";

import { type NatsNode, openNatsCluster } from "../../support/nats-cluster.ts";

const WAIT = { timeout: 30_000, interval: 50 };

test("three nodes keep a replicated stream while any one of them is killed, paused or restarted", async () => {
  await using cluster = await openNatsCluster();
  const urls = cluster.nodes.map(({ url }) => url);
  expect(cluster.url).toBe(urls.join(","));
  await using connection = await connect({ servers: urls, reconnectTimeWait: 50, maxReconnectAttempts: -1 });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: "S", subjects: ["s"], num_replicas: 3 });
  const publish = async (body: string) =>
    await expect.poll(async () => (await jetstream(connection).publish("s", body)).stream, WAIT).toBe("S");

  const killed = await cluster.leaderOf("S");
  await killed.kill();
  await publish("while one is dead");
  await killed.restart();
  expect(killed.url).toBe(urls[killed.index]);

  const paused = await cluster.leaderOf("S");
  paused.pause();
  await expect.poll(async () => (await cluster.leaderOf("S")).index, WAIT).not.toBe(paused.index);
  paused.resume();
  await publish("after a pause");

  const before = await cluster.leaderOf("S");
  const after = await cluster.stepDown("S");
  expect(after.index).not.toBe(before.index);
  await before.stop();
  await before.restart();
  await publish("after a clean stop");
  expect((await manager.streams.info("S")).state.messages).toBeGreaterThanOrEqual(3);
}, 120_000);

test("a node whose routes through proxies are cut both ways is alone until they are mended", async () => {
  await using links = openLinks();
  await using cluster = await openNatsCluster({ routeVia: links.via });
  const [first] = cluster.nodes as [NatsNode];
  await expect.poll(async () => await peersOf(first), WAIT).toEqual(["n1", "n2"]);

  links.cut(first.index);
  await expect.poll(async () => await peersOf(first), WAIT).toEqual([]);
  await using alone = await connect({ servers: first.url });
  // It knows that it has lost the majority, and the two others still see each other.
  await expect.poll(async () => (await fetch(`${first.monitorUrl}/healthz`)).status, WAIT).toBe(503);
  await using majority = await connect({ servers: cluster.nodes.slice(1).map(({ url }) => url) });
  const manager = await jetstreamManager(majority, { checkAPI: false, timeout: 2_000 });
  // One that is placed on the node that is away, while nobody knows that yet, is never made: the next one is.
  let streams = 0;
  const added = async (): Promise<string> => {
    streams += 1;
    const config = { name: `M${streams}`, subjects: [`m${streams}`], num_replicas: 1 };
    return (await manager.streams.add(config)).config.name;
  };
  await expect.poll(added, WAIT).toMatch(/^M/);
  await expect(jetstreamManager(alone, { timeout: 1_000 })).rejects.toThrow();
  // Nothing went around the proxies in all that time.
  expect(await peersOf(first)).toEqual([]);
  expect(await peersOf(cluster.nodes[1]!)).toEqual(["n2"]);

  links.mend(first.index);
  await expect.poll(async () => await peersOf(first), WAIT).toEqual(["n1", "n2"]);
}, 120_000);

/** The servers that a node has routes to. */
async function peersOf(node: NatsNode): Promise<readonly string[]> {
  const { routes } = (await (await fetch(`${node.monitorUrl}/routez`)).json()) as {
    routes: readonly { remote_name: string }[];
  };
  return [...new Set(routes.map(({ remote_name }) => remote_name))].toSorted();
}

/** The smallest proxies that can be cut: one for each ordered pair. */
function openLinks() {
  const links: { from: number; to: number; cut: boolean; sockets: Set<Socket>; close: () => void }[] = [];
  const setCut = (node: number, cut: boolean): void => {
    for (const link of links.filter(({ from, to }) => from === node || to === node)) {
      link.cut = cut;
      if (cut) for (const socket of link.sockets) socket.destroy();
    }
  };
  return {
    via: async (from: number, to: number, targetPort: number): Promise<number> => {
      const sockets = new Set<Socket>();
      const server = createServer((near) => {
        if (link.cut) return void near.destroy();
        const far = dial(targetPort, "127.0.0.1");
        for (const [one, other] of [
          [near, far],
          [far, near],
        ] as const) {
          sockets.add(one);
          one.on("error", () => other.destroy());
          one.on("close", () => {
            sockets.delete(one);
            other.destroy();
          });
          one.pipe(other);
        }
      }).listen(0, "127.0.0.1");
      const link = { from, to, cut: false, sockets, close: () => server.close() };
      links.push(link);
      await once(server, "listening");
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("no port");
      return address.port;
    },
    cut: (node: number): void => setCut(node, true),
    mend: (node: number): void => setCut(node, false),
    async [Symbol.asyncDispose](): Promise<void> {
      for (const link of links) {
        link.close();
        for (const socket of link.sockets) socket.destroy();
      }
    },
  };
}
