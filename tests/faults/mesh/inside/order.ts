// What a test tells a member's process over its IPC channel, and what comes back.
import type { FailPoint } from "./fail-points.ts";
import type { TamperRule } from "./tampering.ts";

/** What a process is told to do to itself. */
export type ControlOrder =
  /** Sets the wall clock forward by this, or back if negative. */
  | { readonly verb: "jump-clock"; readonly ms: number }
  /** Sets the fail point, or takes it away. */
  | { readonly verb: "fail-at"; readonly point: FailPoint | undefined }
  /** Sets what is done to messages. */
  | { readonly verb: "tamper"; readonly rules: readonly TamperRule[] }
  /** Asks how often each step was taken. */
  | { readonly verb: "steps" };

/** An order on its way. */
export interface ControlMessage {
  readonly id: number;
  readonly order: ControlOrder;
}

/** The answer to the order with this id. */
export interface ControlAnswer {
  readonly id: number;
  /** Why it could not be carried out. */
  readonly error?: string;
  /** The answer to `steps`. */
  readonly steps?: Readonly<Record<string, number>>;
}

/** The variable with the fail point from the start on, as JSON. */
export const FAIL_POINT_VARIABLE = "FAULT_FAIL_POINT";

/** The variable with the rules from the start on, as JSON. */
export const TAMPER_VARIABLE = "FAULT_TAMPER";
