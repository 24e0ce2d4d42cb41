// What a test tells a member's process over its IPC channel, and what comes back.

/** What a process is told to do to itself. */
export type ControlOrder =
  /** Sets the wall clock forward by this, or back if negative. */
  { readonly verb: "jump-clock"; readonly ms: number };

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
}
