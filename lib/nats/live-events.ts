// Hears of the events of one task as they are stored, without its outputs. May miss some: whoever listens looks into the log for the rest.

import type { NatsConnection } from "@nats-io/nats-core";
import { liveEventSubject } from "../wire/subjects.ts";
import { storedMessage } from "./direct-reader.ts";

/** Calls `onEvent` with the stream sequence of each event that is stored, until it is disposed. `onEvent` must not throw. */
export function listenToEvents(
  connection: NatsConnection,
  tenant: string,
  taskId: string,
  onEvent: (sequence: number) => void,
): Disposable {
  const subscription = connection.subscribe(liveEventSubject(tenant, taskId), {
    callback: (error, message) => {
      const sequence = error === null ? storedMessage(message).sequence : 0;
      // What anybody else publishes there has no sequence.
      if (Number.isSafeInteger(sequence) && sequence > 0) onEvent(sequence);
    },
  });
  return { [Symbol.dispose]: () => subscription.unsubscribe() };
}
