// What the fake mesh knows of tasks, and its own rules for reports on them: fences as the log keeps them. In memory, no I/O.
import { type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Report, type ReportResultSchema, ReportSchema } from "../../../gen/mycel/v1/agent_protocol_pb.ts";

/** An answer to one report. */
export type Answer = NonNullable<MessageInitShape<typeof ReportResultSchema>["outcome"]>;

/** What the fake knows of a task. */
export interface FakeTask {
  fence: bigint;
  attempt: number;
  /** Who began the attempt, or undefined. */
  owner: string | undefined;
  /** The report that ended it. */
  ended: Report | undefined;
  /** The last accepted report and its answer: a copy of it gets the same answer. */
  accepted: { readonly bytes: string; readonly answer: Answer } | undefined;
}

/** The fences of tasks. */
export class FakeFences {
  readonly tasks: Map<string, FakeTask> = new Map<string, FakeTask>();
  readonly #settle: (delivery: string, answer: "+ACK" | "-NAK") => void;
  #last = 100n;

  /** `settle` answers a delivery. */
  constructor(settle: (delivery: string, answer: "+ACK" | "-NAK") => void) {
    this.#settle = settle;
  }

  /** A task was submitted: nobody has begun it. */
  add(taskId: string): void {
    this.tasks.set(taskId, { fence: 0n, attempt: 1, owner: undefined, ended: undefined, accepted: undefined });
  }

  /** Answers a report. */
  judge(report: Report, agentId: string): Answer {
    const task = this.tasks.get(report.taskId);
    if (task === undefined) return { case: "dropped", value: { reason: "TASK_NOT_FOUND" } };
    const bytes = agentId + Buffer.from(toBinary(ReportSchema, report)).toString("base64");
    if (task.accepted?.bytes === bytes) return task.accepted.answer;
    const answer = this.#decide(task, report, agentId);
    if (answer.case === "accepted") task.accepted = { bytes, answer };
    return answer;
  }

  #decide(task: FakeTask, report: Report, agentId: string): Answer {
    if (report.kind.case === "begin") {
      if (task.ended !== undefined) {
        this.#settle(report.delivery, "+ACK");
        return { case: "dropped", value: { reason: "TASK_ENDED" } };
      }
      if (report.kind.value.redelivery) task.attempt = task.owner === undefined ? task.attempt : task.attempt + 1;
      else if (report.fence !== task.fence)
        return { case: "refused", value: { reason: "LEASE_LOST", message: "stale" } };
      task.owner = agentId;
      task.fence = this.#last += 1n;
      return { case: "accepted", value: { fence: task.fence, attempt: task.attempt } };
    }
    if (task.ended !== undefined || report.fence !== task.fence) {
      return { case: "refused", value: { reason: "LEASE_LOST", message: "another attempt has the lease" } };
    }
    task.fence = this.#last += 1n;
    if (report.kind.case === "handBack") {
      task.owner = undefined;
      this.#settle(report.delivery, "-NAK");
    } else {
      task.ended = report;
      this.#settle(report.delivery, "+ACK");
    }
    return { case: "accepted", value: { fence: task.fence, attempt: report.attempt } };
  }
}
