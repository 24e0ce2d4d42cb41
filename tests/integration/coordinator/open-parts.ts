// A coordinator's inner parts on a real nats-server: with a replica that lags when it is told to, and agents that only pull and report.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ReportRequestSchema, type ReportResult, type ReportSchema } from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { SubmitTaskRequestSchema, type SubmitTaskResponse } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import type { DirectReader } from "../../../lib/nats/direct-reader.ts";
import { Lanes } from "../../../lib/nats/lanes.ts";
import { LogRoom } from "../../../lib/nats/log-room.ts";
import type { TestNatsSettings } from "../../support/nats.ts";
import { TaskLog } from "../../../lib/nats/task-log.ts";
import { Timers } from "../../../lib/nats/timers.ts";
import { laneConsumer, parseDeliverySubject, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import type { SubmissionLimits } from "../../../lib/wire/submission.ts";
import { ReportDesk, type ReportDeskParts } from "../../../services/coordinator/reports/report-desk.ts";
import { openDueTimers } from "../../../services/coordinator/reactors/due-timers.ts";
import { Submitter } from "../../../services/coordinator/submission/submitter.ts";
import { Lifecycle } from "../../../services/coordinator/tasks/lifecycle.ts";
import { type MeshLog, openMeshLog, TENANT } from "../../support/mesh-log.ts";

/** A replica that shows nothing after a stream sequence, like one that lags behind. Infinity for one that is up to date. */
export class Replica implements Pick<DirectReader, "read"> {
  readonly #reader: DirectReader;
  upTo: number = Infinity;
  /** How many reads it answered while it lagged. */
  staleReads = 0;

  constructor(reader: DirectReader) {
    this.#reader = reader;
  }

  async read(stream: string, query: Parameters<DirectReader["read"]>[1]): ReturnType<DirectReader["read"]> {
    if (this.upTo === Infinity) return this.#reader.read(stream, query);
    this.staleReads += 1;
    if (!("multi_last" in query)) throw new Error("only the last messages of subjects are read here");
    return this.upTo === 0 ? [] : this.#reader.read(stream, Object.assign({ up_to_seq: this.upTo }, query));
  }
}

/** What an agent got. */
export interface Delivery {
  readonly taskId: string;
  /** Where it would be acknowledged. */
  readonly reply: string;
  /** The stream sequence of the dispatch. */
  readonly sequence: number;
}

/** The parts, and one agent. */
export interface Parts extends AsyncDisposable {
  readonly log: MeshLog;
  readonly taskLog: TaskLog;
  readonly replica: Replica;
  readonly timers: Timers;
  readonly lifecycle: Lifecycle;
  readonly submitter: Submitter;
  /** Handles due timers until the end of the test. */
  watchTimers(): void;
  submit(task: MessageInitShape<typeof SubmitTaskRequestSchema>): Promise<SubmitTaskResponse>;
  /** The next delivery of the queue `work`; fails if there is none. */
  pull(): Promise<Delivery>;
  /** What an agent says of a delivery. */
  report(delivery: Delivery, report: MessageInitShape<typeof ReportSchema>, agentId?: string): Promise<ReportResult>;
  /** The same, to another coordinator that checks reports in this way. */
  reportElsewhere(checks: ReportChecks): Parts["report"];
  /** How many deliveries of the queue are unacknowledged, once everything that was sent has arrived. */
  unacknowledged(): Promise<number>;
}

/** How reports are checked. */
export type ReportChecks = Pick<ReportDeskParts, "tokens" | "serves">;

const SYSTEM_CLOCK: Clock = { now: () => Date.now(), monotonicMs: () => performance.now() };
const LIMITS: SubmissionLimits = { maxStartToCloseMs: 60_000, maxWaitMs: 600_000 };
const CONSUMER = laneConsumer(TENANT, "work", 5);

/** Opens the parts of one coordinator. */
export async function openParts(settings: TestNatsSettings = {}, checks: ReportChecks = {}): Promise<Parts> {
  const stack = new AsyncDisposableStack();
  const log = stack.use(await openMeshLog(settings));
  const { connection, manager, publisher, outputLog: outputs } = log;
  const clock = SYSTEM_CLOCK;
  const logger = silentLogger;
  const replica = new Replica(log.reader);
  const taskLog = new TaskLog({ connection, manager, publisher, reader: replica });
  const timers = new Timers(publisher);
  const lanes = new Lanes({ connection, manager }, { leaseMs: 30_000, depthLimit: 1_000, maxQueues: 10 }, () =>
    clock.monotonicMs(),
  );
  const { tokens } = checks;
  const lifecycle = new Lifecycle({ connection, log: taskLog, outputs, timers, lanes, clock, logger, tokens });
  const submitter = new Submitter({
    log: taskLog,
    lanes,
    logRoom: new LogRoom({ connection, manager }, () => clock.monotonicMs()),
    timers,
    hook: async () => {},
    clock,
    randomId: () => crypto.randomUUID(),
    limits: LIMITS,
    holdMs: 0,
    tokens,
  });
  const random = (): number => 0.5;
  const deskWith = (given: ReportChecks): ReportDesk =>
    new ReportDesk({ connection, log: taskLog, outputs, timers, lifecycle, clock, random, logger, ...given });
  return {
    log,
    taskLog,
    replica,
    timers,
    lifecycle,
    submitter,
    watchTimers: () => {
      stack.use(openDueTimers({ connection, manager, log: taskLog, timers, lifecycle, clock, random, logger }));
    },
    submit: (task) =>
      submitter.submit(
        { tenant: TENANT, trace: { traceparent: "", tracestate: "" } },
        create(SubmitTaskRequestSchema, { type: "work", ...task }),
      ),
    pull: async () => {
      const next = `$JS.API.CONSUMER.MSG.NEXT.${TASKS_STREAM}.${CONSUMER}`;
      const pull = JSON.stringify({ batch: 1, expires: 5_000_000_000 });
      const { subject, reply = "" } = await connection.request(next, pull, { timeout: 6_000, noMux: true });
      const sequence = parseDeliverySubject(reply)?.sequence;
      if (sequence === undefined) throw new Error("nothing was delivered");
      return { taskId: subject.split(".")[2] ?? "", reply, sequence };
    },
    report: reportTo(deskWith(checks)),
    reportElsewhere: (given) => reportTo(deskWith(given)),
    unacknowledged: async () => {
      await connection.flush();
      return (await manager.consumers.info(TASKS_STREAM, CONSUMER)).num_ack_pending;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function reportTo(desk: ReportDesk): Parts["report"] {
  return async ({ taskId, reply }, report, agentId = "agent") => {
    const request = create(ReportRequestSchema, { reports: [{ taskId, delivery: reply, attempt: 1, ...report }] });
    const [result] = (await desk.answer({ tenant: TENANT, agentId }, request)).results;
    if (result === undefined) throw new Error("the report was not answered");
    return result;
  };
}
