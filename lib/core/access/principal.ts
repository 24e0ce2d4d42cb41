// Who calls, and what they may do: what is left of a credential once it is verified. Knows nothing of how that is done.

import type { Action } from "./action.ts";

/** What a principal may do, and with which tasks. */
export interface Grant {
  /** The actions. */
  readonly actions: ReadonlySet<Action>;
  /** The task types that it is about: names in which `*` stands for any characters. Of actions without a task type it says nothing. */
  readonly taskTypes: readonly string[];
  /** Labels that a task must carry for the grant to be about it. */
  readonly labels: Readonly<Record<string, string>>;
}

/** How a principal has shown who it is; `open` where nobody has to. */
export type PrincipalKind = "open" | "token" | "key" | "certificate" | "stream-token";

/** Who calls. */
export interface Principal {
  readonly kind: PrincipalKind;
  /** Names it among all of its kind: the subject of a token, the id of a key, the URI or common name of a certificate. */
  readonly id: string;
  /** The tenant in which it acts. */
  readonly tenant: string;
  /** What it may do: each is enough by itself. */
  readonly grants: readonly Grant[];
  /** When its credential ends, by this machine's wall clock, in milliseconds since 1970; Infinity if never. */
  readonly expiresMs: number;
  /** The only task that it may see, for a stream token. */
  readonly taskId?: string;
}
