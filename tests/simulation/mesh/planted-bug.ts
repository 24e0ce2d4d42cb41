// A bug that is planted into the simulated mesh, to see whether the simulation finds it: what a coordinator works with is changed a
// little.
import type { NatsConnection } from "@nats-io/nats-core";
import type { OutputLog } from "../../../lib/nats/output-log.ts";
import type { StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import type { Timers } from "../../../lib/nats/timers.ts";
import type { ReportDesk } from "../../../services/coordinator/reports/report-desk.ts";
import type { MemoryPorts } from "../broker/memory-ports.ts";

/** What is wrong. Nothing is, without anything in it. */
export interface PlantedBug {
  /** The broker does not check what is expected. */
  readonly ignoresExpectations?: boolean;
  /** Changes every coordinator's log. */
  readonly log?: (log: TaskLog, ports: MemoryPorts) => TaskLog;
  /** Changes every coordinator's log of outputs. */
  readonly outputs?: (outputs: OutputLog) => OutputLog;
  /** Changes every coordinator's timers. */
  readonly timers?: (timers: Timers) => Timers;
  /** Changes what every coordinator hears of its publishes. */
  readonly publisher?: (publisher: StreamPublisher) => StreamPublisher;
  /** Changes how every coordinator answers reports. */
  readonly desk?: (desk: Pick<ReportDesk, "answer">, connection: NatsConnection) => Pick<ReportDesk, "answer">;
}

/** The product as it is. */
export const NO_BUG: PlantedBug = {};
