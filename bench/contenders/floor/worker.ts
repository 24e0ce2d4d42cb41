// The floor's worker as a process: pulls from the served queue, does nothing, and reports, many in one request.
// Usage: node bench/contenders/floor/worker.ts NATS_URL REPORT_BYTES

import { createInbox, type Msg } from "@nats-io/nats-core";
import { openNats } from "../../../lib/nats/connection.ts";
import { laneConsumer, parseTaskSubject, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { askedToStop, sayReady } from "../../support/process.ts";
import { QUEUES, TENANT, WORKER_CONCURRENCY } from "../../support/contender.ts";
import { encodeReports, type FloorReport } from "./report-lines.ts";
import { PRIORITY, REPORT_SUBJECT } from "./subjects.ts";

/** As the agent SDK's: at most so many reports in a request, and so many requests at once. */
const MAX_REPORTS = 256;
const MAX_REQUESTS = 4;
const REPORT_TIMEOUT_MS = 10_000;
const PULL = JSON.stringify({ batch: WORKER_CONCURRENCY, expires: 20_000_000_000 });

const [natsUrl = "", reportBytes = "0"] = process.argv.slice(2);
const connection = await openNats({ servers: natsUrl, name: "bench floor worker" });
const next = `$JS.API.CONSUMER.MSG.NEXT.${TASKS_STREAM}.${laneConsumer(TENANT, QUEUES.served, PRIORITY)}`;
const inbox = createInbox();
let wanted = 0;
let queue: FloorReport[] = [];
let requests = 0;
let scheduled = false;

// A new pull before the last one is used up: the broker always has leave to send.
function pull(): void {
  if (wanted > WORKER_CONCURRENCY / 2) return;
  wanted += WORKER_CONCURRENCY;
  connection.publish(next, PULL, { reply: inbox });
}

function flush(): void {
  while (queue.length > 0 && requests < MAX_REQUESTS) {
    requests += 1;
    const body = encodeReports(queue.slice(0, MAX_REPORTS), Number(reportBytes));
    queue = queue.slice(MAX_REPORTS);
    void connection.request(REPORT_SUBJECT, body, { timeout: REPORT_TIMEOUT_MS }).finally(() => {
      requests -= 1;
      flush();
    });
  }
}

function delivered(message: Msg): void {
  wanted -= 1;
  queue.push({ taskId: parseTaskSubject(message.subject)?.taskId ?? "", delivery: message.reply ?? "" });
  if (scheduled) return;
  scheduled = true;
  // After the I/O of this turn, as the agent does: what arrived together travels together.
  setImmediate(() => {
    scheduled = false;
    flush();
  });
}

connection.subscribe(inbox, {
  callback: (_error, message) => {
    if (message.reply === undefined || message.reply === "") {
      // A pull has ended; the broker says what it did not bring.
      wanted -= Number(message.headers?.get("Nats-Pending-Messages") ?? 0);
    } else delivered(message);
    pull();
  },
});
pull();
await connection.flush();
const stop = askedToStop();
sayReady();
await stop;
await connection.close();
process.exit(0);
