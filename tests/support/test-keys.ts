// API keys over a real broker, as several coordinators know them.
import { connect } from "@nats-io/transport-node";
import { silentLogger } from "../../lib/core/logger.ts";
import { KeyStore } from "../../lib/nats/key-store.ts";
import { ensureTopology } from "../../lib/nats/topology.ts";
import { openTestNats, type TestNats } from "./nats.ts";

/** A broker with the mesh's streams. */
export interface KeyBroker extends AsyncDisposable {
  readonly nats: TestNats;
  /** Opens what one coordinator knows of keys, over a connection of its own; to the broker, or to what stands in between. */
  store(url?: string): Promise<KeyStore>;
}

/** Opens a broker for keys. */
export async function openKeyBroker(): Promise<KeyBroker> {
  const stack = new AsyncDisposableStack();
  const nats = stack.use(await openTestNats());
  const open = async (servers: string = nats.url) =>
    stack.adopt(await connect({ servers, reconnectTimeWait: 50 }), (connection) => connection.close());
  const options = { replicas: 1, retentionMs: 3_600_000, maxBytes: 10_000_000, agentTtlMs: 30_000 };
  await ensureTopology(await open(), options);
  return {
    nats,
    async store(url) {
      const fail = (problem: unknown): void => silentLogger.warn({ problem }, "key store");
      return stack.use(await KeyStore.open(await open(url), { onError: fail, onGarbage: fail }));
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
