// The floor's reporter as a process: stores each task's last event by compare-and-set, acknowledges its delivery, answers.
// Usage: node bench/contenders/floor/reporter.ts NATS_URL EVENT_BYTES ANSWER_BYTES

import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { type NatsConnection, openNats } from "../../../lib/nats/connection.ts";
import { StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { eventSubject } from "../../../lib/wire/subjects.ts";
import { askedToStop, sayReady } from "../../support/process.ts";
import { TENANT } from "../../support/contender.ts";
import { EMPTY_SUBJECT, REPORT_SUBJECT } from "./subjects.ts";
import { decodeReports, type FloorReport } from "./report-lines.ts";

const [natsUrl = "", eventBytes = "0", answerBytes = "0"] = process.argv.slice(2);
const connection: NatsConnection = await openNats({ servers: natsUrl, name: "bench floor reporter" });
const publisher = new StreamPublisher(connection);
const event = new Uint8Array(Number(eventBytes));
// Field 1 of a TaskEvent: enough to be seen as the end of a task.
event.set([0x08, TaskState.COMPLETED]);

async function store({ taskId, delivery }: FloorReport): Promise<void> {
  const outcome = await publisher.publish({ subject: eventSubject(TENANT, taskId), body: event, expected: 0 });
  // What is not stored is not acknowledged, and the benchmark will miss it.
  if (outcome.kind === "stored") connection.publish(delivery, "+ACK");
}

connection.subscribe(REPORT_SUBJECT, {
  callback: (_error, message) => {
    const reports = decodeReports(message.data);
    void Promise.all(reports.map(store)).then(() =>
      message.respond(new Uint8Array(reports.length * Number(answerBytes))),
    );
  },
});
connection.subscribe(EMPTY_SUBJECT, { callback: (_error, message) => void message.respond() });
await connection.flush();
const stop = askedToStop();
sayReady();
await stop;
await connection.close();
process.exit(0);
