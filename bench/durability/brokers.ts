// One server or a cluster of three, as a setting says, on given disks.
import { openTestNats, type TestNats } from "../../tests/support/nats.ts";
import { openNatsCluster } from "../../tests/support/nats-cluster.ts";
import type { Setting } from "./setting.ts";

/** The brokers of one setting. */
export interface Brokers extends AsyncDisposable {
  readonly nodes: readonly TestNats[];
  /** All nodes, comma-separated. */
  readonly url: string;
  /** The place of the node that leads a stream. */
  leaderOf(stream: string): Promise<number>;
}

/** Starts them; `dirs` says where each keeps its data, in the system's temporary folder if undefined. */
export async function openBrokers(setting: Setting, dirs?: readonly string[]): Promise<Brokers> {
  const { replicas, syncInterval } = setting;
  if (replicas === 1) {
    const nats = await openTestNats({ syncInterval }, dirs?.[0]);
    return {
      nodes: [nats],
      url: nats.url,
      leaderOf: async () => 0,
      [Symbol.asyncDispose]: () => nats[Symbol.asyncDispose](),
    };
  }
  const parents = dirs === undefined ? {} : { parentDirs: dirs };
  const cluster = await openNatsCluster({ nodes: replicas, settings: { syncInterval }, ...parents });
  return {
    nodes: cluster.nodes,
    url: cluster.url,
    leaderOf: async (stream) => (await cluster.leaderOf(stream)).index,
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}
