// What happens to any task of a tenant, as it happens: two core subscriptions, which cost nothing while nobody looks.
//
// Events are heard as they are stored. Dispatches are not republished: they are heard on their way into the stream, which may refuse them;
// whoever hears of one looks into the log for it.

import type { NatsConnection, Subscription } from "@nats-io/nats-core";
import { WITHDRAWN_QUEUE } from "../core/names.ts";
import {
  dispatchesFilter,
  dispatchFilter,
  liveEventsFilter,
  parseTaskSubject,
  TASKS_STREAM,
} from "../wire/subjects.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import { type DirectReader, type StoredMessage, storedMessage } from "./direct-reader.ts";
import { onInterruption } from "./interruptions.ts";
import { previousOf } from "./live-hub.ts";

/** Who hears of it. Nothing of it may throw. */
export interface TenantListener {
  /** An event was stored. */
  event(taskId: string, stored: StoredMessage): void;
  /** A dispatch is on its way into the log, for an agent or to wait for its start time. */
  dispatch(taskId: string): void;
  /** Nobody knows what was not heard: a connection or a leader was lost. */
  lost(): void;
}

/** Listens to a tenant. Disposing it ends that. */
export interface TenantFeed extends Disposable {
  /** The newest dispatches of some tasks, as a replica knows them. Throws MeshError BROKER_UNAVAILABLE. */
  dispatchesOf(taskIds: readonly string[]): Promise<StoredMessage[]>;
}

/** What listening needs. */
export interface TenantFeedOptions {
  readonly connection: NatsConnection;
  readonly reader: Pick<DirectReader, "read">;
  readonly tenant: string;
  readonly listener: TenantListener;
}

/** How many tasks one read asks for: their inputs come with them, each up to 256 KiB. */
const READ_TASKS = 32;

/** Begins to listen: what is stored once this resolves is heard. Throws MeshError BROKER_UNAVAILABLE. */
export async function openTenantFeed({ connection, reader, tenant, listener }: TenantFeedOptions): Promise<TenantFeed> {
  const subscriptions: Subscription[] = [];
  const interruptions = onInterruption(connection, () => listener.lost());
  const close = (): void => {
    interruptions[Symbol.dispose]();
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
  try {
    subscriptions.push(
      connection.subscribe(liveEventsFilter(tenant), {
        callback: (error, message) => {
          if (error !== null || previousOf(message) === undefined) return;
          const stored = storedMessage(message);
          const subject = parseTaskSubject(stored.subject);
          if (subject?.kind === "event") listener.event(subject.taskId, stored);
        },
      }),
      connection.subscribe(dispatchesFilter(tenant), {
        callback: (error, message) => {
          const subject = error === null ? parseTaskSubject(message.subject) : undefined;
          if (subject?.kind !== "dispatch" || subject.queue === WITHDRAWN_QUEUE) return;
          listener.dispatch(subject.taskId);
        },
      }),
    );
    await connection.flush();
  } catch (cause) {
    close();
    throw brokerUnavailable(cause);
  }
  return {
    async dispatchesOf(taskIds) {
      const found: StoredMessage[] = [];
      for (let at = 0; at < taskIds.length; at += READ_TASKS) {
        const filters = taskIds.slice(at, at + READ_TASKS).map((taskId) => dispatchFilter(tenant, taskId));
        found.push(...(await reader.read(TASKS_STREAM, { multi_last: filters })));
      }
      return found;
    },
    [Symbol.dispose]: close,
  };
}
