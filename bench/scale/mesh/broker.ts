// The broker of a measurement, and what the benchmark sees of it. The mesh knows nothing of the benchmark's connection.

import { jetstreamManager } from "@nats-io/jetstream";
import { openNats } from "../../../lib/nats/connection.ts";
import { TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { openBenchNats } from "../../support/nats-server.ts";
import { watchTaskEnds } from "../../support/task-ends.ts";
import type { ScaleOptions } from "../figure.ts";
import { Ends } from "./ends.ts";

/** A running nats-server with a fresh store. Disposing it removes the store. */
export interface Broker extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly ends: Ends;
  /** What the log of tasks holds. There must be a coordinator, which makes it. */
  tasksLog(): Promise<{ readonly messages: number; readonly bytes: number }>;
}

/** Starts it. */
export async function openBroker({ environment }: ScaleOptions): Promise<Broker> {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await openBenchNats(environment));
  const connection = stack.adopt(await openNats({ servers: nats.url, name: "bench" }), (opened) => opened.close());
  const ends = new Ends();
  watchTaskEnds(connection, ends);
  await connection.flush();
  const started = stack.move();
  return {
    url: nats.url,
    pid: nats.pid,
    ends,
    async tasksLog() {
      const { state } = await (await jetstreamManager(connection)).streams.info(TASKS_STREAM);
      return { messages: state.messages, bytes: state.bytes };
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
