// Owns what an attempt needs of its agent: the seam between one attempt's life and the agent that runs many.
import type { Clock } from "../../lib/core/clock.ts";
import type { Logger } from "../../lib/core/logger.ts";
import type { Blobs } from "./blobs.ts";
import type { Capability } from "./define.ts";
import type { LeaseKeeper } from "./lease-keeper.ts";
import type { Link } from "./link.ts";
import type { Reporter } from "./reporter.ts";
import type { Ending } from "./settlement.ts";

/** The settings of an agent that its attempts need. */
export interface AttemptSettings {
  /** An attempt that is not over after this is reported as running. */
  readonly lazyRunningMs: number;
  /** A delivery that got no slot within this is handed back. */
  readonly holdMs: number;
  /** How long outputs are gathered before they are sent. */
  readonly coalesceMs: number;
  /** How long one publish may take before it is repeated. */
  readonly requestTimeoutMs: number;
  /** How long a handler that does not stop when told keeps its slot. */
  readonly hungMs: number;
}

/** An attempt, as its agent tells it from others. */
export interface HostedAttempt {
  readonly taskId: string;
  readonly attempt: number;
}

/** What an attempt needs of its agent. */
export interface AttemptHost {
  readonly agentId: string;
  readonly settings: AttemptSettings;
  readonly capabilities: ReadonlyMap<string, Capability>;
  readonly link: Link;
  readonly reporter: Reporter;
  readonly keeper: LeaseKeeper;
  readonly blobs: Blobs;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long a delivery is its own without a sign of life. */
  readonly leaseMs: () => number;
  /** Where the outputs of an attempt go. */
  readonly outputSubject: (taskId: string, attempt: number) => string;
  /**
   * When a consumer was made, by the broker's clock, in milliseconds since 1970: it counts deliveries from one, so what was stored
   * earlier may have been delivered under an earlier count.
   */
  readonly freshFromMs: (consumer: string) => number;
  /** The delivery was held too long. */
  readonly onHeldTooLong: (attempt: HostedAttempt) => void;
  /** The handler returned, or its slot was given up: another attempt may start. */
  readonly onSlotFree: (attempt: HostedAttempt) => void;
  /** A handler was told to stop (1), or returned after that (-1). */
  readonly onHung: (change: 1 | -1) => void;
  /** Asks for the slot of a handler that does not stop; false when too many slots were given up already. */
  readonly abandonSlot: () => boolean;
  /** A handler whose slot had been given up returned after all. */
  readonly onLateReturn: () => void;
  /** Nothing more will be reported. */
  readonly onOver: (attempt: HostedAttempt, ending: Ending) => void;
}
