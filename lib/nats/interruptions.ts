// Tells when something between here and a stream was replaced: the connection to NATS stands again after it was lost, or a stream has a
// new leader. What was asked before that may never be answered, and waiting until its time is up would only make an outage longer.
import type { Msg, NatsConnection } from "@nats-io/nats-core";

type Listener = () => void;

/** JetStream tells of every election in a cluster: https://docs.nats.io/running-a-nats-service/nats_admin/monitoring/monitoring_jetstream */
const LEADER_ELECTED = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.";

/** What an advisory of an election says that it is. */
const ELECTION = "io.nats.jetstream.advisory.v1.stream_leader_elected";

/** An advisory names the stream, its leader and its replicas, each in some hundred bytes. */
const MAX_ADVISORY_BYTES = 16_384;

/** One reader of a connection's status, and one subscription, serve everybody. */
const listeners = new WeakMap<NatsConnection, Set<Listener>>();

/** Calls back after each interruption, until it is disposed or the connection is closed. */
export function onInterruption(connection: NatsConnection, listener: Listener): Disposable {
  const all = listeners.get(connection) ?? listenTo(connection);
  all.add(listener);
  return { [Symbol.dispose]: () => void all.delete(listener) };
}

/**
 * Asks, and asks again after each interruption, until one of the questions is answered or fails. Only for what may be asked more than
 * once, and with a time limit of its own. Throws what the question throws.
 */
export async function askThrough<T>(connection: NatsConnection, ask: () => Promise<T>): Promise<T> {
  const interrupted = Promise.withResolvers<undefined>();
  using _listener = onInterruption(connection, () => interrupted.resolve(undefined));
  const asked = ask().then((answer) => ({ answer }));
  const first = await Promise.race([asked, interrupted.promise]);
  if (first !== undefined) return first.answer;
  // Nobody waits for the answer to the lost one any more.
  asked.catch(() => undefined);
  return await askThrough(connection, ask);
}

function listenTo(connection: NatsConnection): Set<Listener> {
  const all = new Set<Listener>();
  listeners.set(connection, all);
  const tell = (): void => {
    for (const listener of all) listener();
  };
  connection.subscribe(`${LEADER_ELECTED}*`, {
    callback: (error, message) => {
      if (error === null && isElection(message)) tell();
    },
  });
  void (async () => {
    for await (const { type } of connection.status()) if (type === "reconnect") tell();
  })();
  return all;
}

/** Anybody can publish there, and each interruption has everything under way asked anew: what is no advisory costs nothing. */
function isElection(message: Msg): boolean {
  if (message.data.length > MAX_ADVISORY_BYTES) return false;
  try {
    const told = message.json<{ readonly type?: unknown; readonly stream?: unknown } | null>();
    return told?.type === ELECTION && message.subject === `${LEADER_ELECTED}${String(told.stream)}`;
  } catch {
    return false;
  }
}
