// What the messages of one task weigh, read off a real one, so that the floor moves as many bytes.

import { setTimeout as sleep } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "../../../lib/nats/connection.ts";
import { agentSubject, dispatchFilter, eventSubject, inboxPrefix, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { BenchError } from "../../support/bench-error.ts";
import { TENANT } from "../../support/contender.ts";

/** Bytes of the bodies of messages, without headers. */
export interface MessageSizes {
  /** With an input of {@link MessageSizes.input} bytes; a larger input makes it larger by as much. */
  readonly dispatch: number;
  readonly input: number;
  readonly event: number;
  /** A request of one report. */
  readonly report: number;
  /** The answer to it. */
  readonly answer: number;
}

const INPUT_BYTES = 200;
const ANSWER_WITHIN_MS = 5_000;

/** Runs one task and looks at what was sent. */
export async function measureSizes(
  connection: NatsConnection,
  agentId: string,
  taskId: string,
  runTask: (inputBytes: number) => Promise<unknown>,
): Promise<MessageSizes> {
  const manager = await jetstreamManager(connection);
  let report = 0;
  const answered = Promise.withResolvers<number>();
  let answeredTo: string | undefined;
  const reports = connection.subscribe(agentSubject(TENANT, agentId, "report"), {
    callback: (_error, message) => {
      report = message.data.length;
      answeredTo = message.reply;
    },
  });
  const answers = connection.subscribe(`${inboxPrefix(TENANT, agentId)}.>`, {
    callback: (_error, message) => {
      if (message.subject === answeredTo) answered.resolve(message.data.length);
    },
  });
  await connection.flush();
  await runTask(INPUT_BYTES);
  const dispatch = await manager.streams.getMessage(TASKS_STREAM, { last_by_subj: dispatchFilter(TENANT, taskId) });
  const event = await manager.streams.getMessage(TASKS_STREAM, { last_by_subj: eventSubject(TENANT, taskId) });
  // The answer is sent after the event that ends the task.
  const unseen = sleep(ANSWER_WITHIN_MS, 0, { ref: false });
  const answer = await Promise.race([answered.promise, unseen]);
  await Promise.all([reports.drain(), answers.drain()]);
  if (dispatch === null || event === null || report === 0 || answer === 0) {
    throw new BenchError("the messages of a task were not seen on their subjects");
  }
  return { dispatch: dispatch.data.length, input: INPUT_BYTES, event: event.data.length, report, answer };
}
