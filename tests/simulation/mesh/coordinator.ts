// A coordinator as its main wires it, over a broker in memory: everything it decides and writes is the product's own code. Only its
// sockets, its feeds' pulls and its clock are the simulation's.
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { Lanes } from "../../../lib/nats/lanes.ts";
import { LogRoom } from "../../../lib/nats/log-room.ts";
import { OutputLog } from "../../../lib/nats/output-log.ts";
import { TaskLog } from "../../../lib/nats/task-log.ts";
import { Timers } from "../../../lib/nats/timers.ts";
import type { FeedMessage, FeedVerdict } from "../../../lib/nats/work-feed.ts";
import { handleDelayedSubmission } from "../../../services/coordinator/reactors/delayed-submissions.ts";
import { handleDueTimer } from "../../../services/coordinator/reactors/due-timers.ts";
import { ReportDesk } from "../../../services/coordinator/reports/report-desk.ts";
import { BulkSubmitter } from "../../../services/coordinator/submission/bulk.ts";
import { Submitter } from "../../../services/coordinator/submission/submitter.ts";
import { Lifecycle } from "../../../services/coordinator/tasks/lifecycle.ts";
import type { MemoryBroker } from "../broker/memory-broker.ts";
import { type MemoryPorts, openMemoryPorts, type Wire } from "../broker/memory-ports.ts";
import type { Process } from "./network.ts";
import type { PlantedBug } from "./planted-bug.ts";

/** What a coordinator runs in. */
export interface CoordinatorOptions {
  readonly name: string;
  readonly broker: MemoryBroker;
  readonly wireOf: (process: Process) => Wire;
  /** The true time, in milliseconds since 1970. */
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly onUnforeseen: (what: string) => void;
  readonly bug: PlantedBug;
}

const LIMITS = { maxStartToCloseMs: 3_600_000, maxWaitMs: 3_600_000 };

/** A coordinator's process. */
export class SimulatedCoordinator implements Process {
  readonly name: string;
  alive = true;
  /** How much its clock is ahead of the true time, in milliseconds. */
  clockErrorMs = 0;
  readonly clock: Clock;
  readonly log: TaskLog;
  readonly lifecycle: Lifecycle;
  readonly submitter: Submitter;
  readonly bulk: BulkSubmitter;
  readonly desk: Pick<ReportDesk, "answer">;
  readonly onTimer: (message: FeedMessage) => Promise<FeedVerdict>;
  readonly onDelayed: (message: FeedMessage) => Promise<FeedVerdict>;
  readonly ports: MemoryPorts;

  constructor({ name, broker, wireOf, nowMs, random, onUnforeseen, bug }: CoordinatorOptions) {
    this.name = name;
    this.ports = openMemoryPorts(broker, wireOf(this));
    const { connection, manager, reader } = this.ports;
    const publisher = bug.publisher?.(this.ports.publisher) ?? this.ports.publisher;
    const clock: Clock = { now: () => nowMs() + this.clockErrorMs, monotonicMs: nowMs };
    this.clock = clock;
    const logger = loggerOf((what) => onUnforeseen(`${name}: ${what}`));
    const trueLog = new TaskLog({ connection, manager, publisher, reader });
    const log = bug.log?.(trueLog, this.ports) ?? trueLog;
    this.log = log;
    const trueOutputs = new OutputLog({ connection, publisher, reader });
    const outputs = bug.outputs?.(trueOutputs) ?? trueOutputs;
    const trueTimers = new Timers(publisher);
    const timers = bug.timers?.(trueTimers) ?? trueTimers;
    const lanes = new Lanes({ connection, manager }, { leaseMs: 30_000, depthLimit: 1_000, maxQueues: 10 }, nowMs);
    const logRoom = new LogRoom({ connection, manager }, nowMs);
    this.lifecycle = new Lifecycle({ connection, log, outputs, timers, lanes, clock, logger });
    const randomId = (): string => String(random());
    const hook = async (): Promise<void> => {};
    this.submitter = new Submitter({ log, lanes, logRoom, timers, hook, clock, randomId, limits: LIMITS, holdMs: 0 });
    this.bulk = new BulkSubmitter({ submitter: this.submitter, log, clock, limits: LIMITS });
    const desk = new ReportDesk({ connection, log, outputs, timers, lifecycle: this.lifecycle, clock, random, logger });
    this.desk = bug.desk?.(desk, connection) ?? desk;
    const reacting = { manager, log, timers, lifecycle: this.lifecycle, clock, random, logger };
    this.onTimer = (message) => handleDueTimer(reacting, message);
    this.onDelayed = (message) => handleDelayedSubmission({ timers, clock }, message);
  }
}

/** What the product logs as an error is something that nobody foresaw. */
function loggerOf(onError: (what: string) => void): Logger {
  const logger: Logger = {
    debug() {},
    info() {},
    warn() {},
    error: ({ err }, message) => onError(`${message}: ${err instanceof Error ? err.message : String(err)}`),
    child: () => logger,
  };
  return logger;
}
