// Keeps a connection hearing. nats.js reads on only while no callback throws: one message that makes one throw would leave the process
// connected and deaf for good, without a word. And anybody can make its parser throw, by a header whose name is none, wherever a callback,
// be it nats.js' own, looks at headers.

import { errors, type NatsConnection } from "@nats-io/nats-core";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";

/**
 * Lets a message that makes its callback throw cost nothing but that message. One whose headers can't be read is dropped without a word;
 * `onThrown` hears of everything else that is thrown, which is somebody's mistake.
 */
export function guardMessages(connection: NatsConnection, onThrown: (error: unknown) => void): void {
  if (!(connection instanceof NatsConnectionImpl)) throw new TypeError("the connection is not one of nats-core");
  const { protocol } = connection;
  const process = protocol.processMsg.bind(protocol);
  protocol.processMsg = (...message) => {
    try {
      process(...message);
    } catch (error) {
      if (!isUnreadable(error)) onThrown(error);
    }
  };
}

/** What the parser of headers throws for what is none. */
function isUnreadable(error: unknown): boolean {
  return error instanceof errors.InvalidArgumentError && error.message.startsWith("'header'");
}
