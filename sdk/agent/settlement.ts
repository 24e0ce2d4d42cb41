// Decides, without I/O, what a report says that ends an attempt, and how the attempt counts once it is accepted.
import type { Outcome } from "./outcome.ts";
import { encodePayload } from "./payload.ts";
import type { ReportKind } from "./report-codec.ts";

/** How an attempt ended, for the agent's counts. */
export type Ending =
  | "completed"
  | "failed"
  | "retry_after"
  | "snoozed"
  | "handed_back"
  | "canceled"
  | "lease_lost"
  | "dropped"
  | "abandoned";

/** A report that ends an attempt. */
export type Settlement = Exclude<ReportKind, { kind: "begin" }>;

/** How an attempt has ended when its last report was accepted. */
export const ENDINGS: Readonly<Record<Settlement["kind"], Ending>> = {
  complete: "completed",
  fail: "failed",
  retry_after: "retry_after",
  snooze: "snoozed",
  hand_back: "handed_back",
};

/** The report of an outcome. Throws what {@link encodePayload} throws for a value that has no form on the wire. */
export function settlementOf(outcome: Outcome): Settlement {
  switch (outcome.kind) {
    case "complete":
      return { kind: "complete", result: encodePayload(outcome.value) };
    case "fail":
      return { kind: "fail", failure: outcome.failure };
    case "retry_after":
      return { kind: "retry_after", delayMs: outcome.delayMs, failure: outcome.failure };
    case "snooze":
      return { kind: "snooze", delayMs: outcome.delayMs };
  }
}
