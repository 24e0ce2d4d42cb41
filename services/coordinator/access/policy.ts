// What the policy says, as those see it who make principals of verified credentials. Where it comes from is not decided here.

import type { Grant, PrincipalKind } from "../../../lib/core/access/principal.ts";

/** Somebody whose credential was verified. */
export interface Identity {
  readonly kind: PrincipalKind;
  /** Names it among all of its kind, as bindings do behind `<kind>:`. */
  readonly id: string;
  /** What a verified token claims; the policy says which of it counts. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** Where somebody acts, and as what. */
export interface Binding {
  readonly tenant: string;
  /** Names of roles. */
  readonly roles: readonly string[];
}

/** Who may do what. It may change at any time: whoever keeps an answer keeps an old one. */
export interface Policy {
  /** Where an identity acts and as what: the first binding that matches, or else its claims. One that is bound to nothing has no roles. */
  bindingOf(identity: Identity): Binding;
  /** What roles allow. Those that there are not allow nothing. The same list is returned for the same names until the policy changes. */
  grantsOf(roles: readonly string[]): readonly Grant[];
}
