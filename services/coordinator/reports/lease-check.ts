// Whether an agent was given what it reports on. The broker says which agent speaks, not what was delivered to it; without this, an agent
// could begin or end its tenant's tasks that others were given, and have others' deliveries acknowledged.

import type { Report } from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import type { AgentIdentity } from "../../../lib/nats/agent-requests.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import { isSame, type LeaseTokens } from "../../../lib/wire/lease-token.ts";
import { type DeliverySubject, laneConsumer } from "../../../lib/wire/subjects.ts";
import { viewOf } from "../../../lib/wire/task-codec.ts";

/** A report, who sent it, and what it says was delivered. */
export interface Delivered {
  readonly from: AgentIdentity;
  readonly report: Report;
  readonly delivery: DeliverySubject;
}

/** What the check needs. */
export interface LeaseCheckParts {
  readonly log: TaskLog;
  /** Undefined where the broker asks agents for no credentials: nothing is checked then. */
  readonly tokens?: LeaseTokens | undefined;
  readonly serves?: (from: AgentIdentity, consumer: string) => boolean;
}

/** Checks reports. */
export class LeaseCheck {
  readonly #parts: LeaseCheckParts;

  constructor(parts: LeaseCheckParts) {
    this.#parts = parts;
  }

  /** Whether a report's token shows it: the way of almost every report, without a look at anything. */
  shows({ from, report, delivery }: Delivered): boolean {
    const { tokens } = this.#parts;
    if (tokens === undefined) return true;
    const { taskId, attempt, fence, leaseToken } = report;
    const claim = { tenant: from.tenant, agentId: from.agentId, consumer: delivery.consumer, taskId, attempt, fence };
    return leaseToken !== "" && tokens.shows(leaseToken, claim);
  }

  /**
   * Whether what stands in the log shows it: for tokens that another secret made, and for dispatches that were written before the broker
   * asked anybody for credentials. Throws as reading the log does.
   */
  async holds({ from, report, delivery }: Delivered): Promise<boolean> {
    const record = await this.#parts.log.read(from.tenant, report.taskId, delivery.sequence);
    if (record === undefined) return false;
    const { queue, priority, sequence, message } = record.dispatch;
    if (laneConsumer(from.tenant, queue, priority) !== delivery.consumer) return false;
    const { attempt, fence, leaseToken, kind } = report;
    const { last } = viewOf(record);
    const isOwn = last !== undefined && last.agentId === from.agentId && last.attempt === attempt;
    if (isOwn && last.state === "working" && BigInt(last.sequence) === fence && kind.case !== "begin") return true;
    if (message.leaseToken === "") return delivery.sequence === sequence && this.mayHold({ from, report, delivery });
    return isSame(message.leaseToken, leaseToken) && message.attempt === attempt && message.fence === fence;
  }

  /** Whether the lane by which it is said to have come is one of the agent's at all. */
  mayHold({ from, delivery }: Delivered): boolean {
    const { tokens, serves } = this.#parts;
    return tokens === undefined || serves?.(from, delivery.consumer) === true;
  }

  /** What shows from now on that an agent has begun an attempt; empty if that need not be shown. */
  tokenOf({ from, report, delivery }: Delivered, fence: number, attempt: number): string {
    const { tenant, agentId } = from;
    const claim = { tenant, agentId, consumer: delivery.consumer, taskId: report.taskId, attempt, fence };
    return this.#parts.tokens?.ofAttempt(claim) ?? "";
  }
}
