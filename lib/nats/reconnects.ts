// Tells when a connection to NATS stands again after it was lost: what was asked before that is answered no more, and waiting for the
// answer until its time is up would only make an outage longer.
import type { NatsConnection } from "@nats-io/nats-core";

type Listener = () => void;

/** One reader of a connection's status serves everybody. */
const listeners = new WeakMap<NatsConnection, Set<Listener>>();

/** Calls back after each reconnection, until it is disposed or the connection is closed. */
export function onReconnect(connection: NatsConnection, listener: Listener): Disposable {
  const all = listeners.get(connection) ?? listenTo(connection);
  all.add(listener);
  return { [Symbol.dispose]: () => void all.delete(listener) };
}

function listenTo(connection: NatsConnection): Set<Listener> {
  const all = new Set<Listener>();
  listeners.set(connection, all);
  void (async () => {
    for await (const { type } of connection.status()) {
      if (type === "reconnect") for (const listener of [...all]) listener();
    }
  })();
  return all;
}
