// An explanation of a task, as the contract tells it.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { TaskFailure } from "../../gen/mycel/v1/task_pb.ts";
import {
  ExplanationCode,
  type ExplanationDeadline,
  ExplanationDeadlineKind,
  ExplanationDeadlineSchema,
  type ExplanationReason,
  ExplanationReasonSchema,
} from "../../gen/mycel/v1/task_explanation_pb.ts";
import type { Capacity, Reason, RunningDeadline } from "../core/explain.ts";
import { sentenceOf } from "./explanation-text.ts";
import { timestampFromMs } from "./time-codec.ts";

const CODES: Readonly<Record<Reason["code"], ExplanationCode>> = {
  no_capable_agent: ExplanationCode.NO_CAPABLE_AGENT,
  agents_busy: ExplanationCode.AGENTS_BUSY,
  queue_paused: ExplanationCode.QUEUE_PAUSED,
  behind_others: ExplanationCode.BEHIND_OTHERS,
  scheduled: ExplanationCode.SCHEDULED,
  backing_off: ExplanationCode.BACKING_OFF,
  running: ExplanationCode.RUNNING,
  agent_lost: ExplanationCode.AGENT_LOST,
  delivered: ExplanationCode.DELIVERED,
  next: ExplanationCode.NEXT,
  ended: ExplanationCode.ENDED,
};

const KINDS: Readonly<Record<RunningDeadline["kind"], ExplanationDeadlineKind>> = {
  schedule_to_start: ExplanationDeadlineKind.SCHEDULE_TO_START,
  start_to_close: ExplanationDeadlineKind.START_TO_CLOSE,
  schedule_to_close: ExplanationDeadlineKind.SCHEDULE_TO_CLOSE,
};

/** A reason as it is told. `failure` is the one of the task's status, which says more than the rule needs. */
export function reasonToWire(reason: Reason, failure: TaskFailure | undefined): ExplanationReason {
  const fields = fieldsOf(reason, failure);
  return create(ExplanationReasonSchema, { ...fields, code: CODES[reason.code], message: sentenceOf(reason) });
}

/** A time limit as it is told. */
export function deadlineToWire({ kind, atMs, endsTask }: RunningDeadline): ExplanationDeadline {
  return create(ExplanationDeadlineSchema, { kind: KINDS[kind], deadlineTime: timestampFromMs(atMs), endsTask });
}

function fieldsOf(reason: Reason, failure: TaskFailure | undefined): MessageInitShape<typeof ExplanationReasonSchema> {
  const failed = failure === undefined ? {} : { failure };
  switch (reason.code) {
    case "no_capable_agent":
      return {};
    case "agents_busy":
    case "next":
      return capacity(reason);
    case "queue_paused":
      return { ...times(reason.sinceMs, reason.untilMs), detail: reason.reason };
    case "behind_others":
      return { aheadCount: BigInt(reason.ahead) };
    case "scheduled":
      return times(undefined, reason.untilMs);
    case "backing_off":
      return { ...times(undefined, reason.untilMs), attempt: reason.attempt, ...failed };
    case "running":
    case "agent_lost": {
      const { agentId, attempt } = reason;
      return { ...times(reason.sinceMs, reason.untilMs), agentId, attempt };
    }
    case "delivered":
      return {};
    case "ended": {
      const { agentId, attempt, cancelReason: detail, redrivenBy } = reason;
      return { ...times(reason.sinceMs, undefined), agentId, attempt, detail, redrivenBy, ...failed };
    }
  }
}

function capacity({ agents, slots, running }: Capacity): MessageInitShape<typeof ExplanationReasonSchema> {
  return { agentCount: agents, slotCount: slots, runningCount: running };
}

function times(
  sinceMs: number | undefined,
  untilMs: number | undefined,
): Pick<ExplanationReason, "sinceTime" | "untilTime"> {
  return {
    ...(sinceMs === undefined ? {} : { sinceTime: timestampFromMs(sinceMs) }),
    ...(untilMs === undefined ? {} : { untilTime: timestampFromMs(untilMs) }),
  };
}
