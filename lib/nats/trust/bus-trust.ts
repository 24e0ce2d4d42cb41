// What a coordinator can do by the trust that the broker puts in it: give agents credentials, and take them back.

import type { AgentCredentialRequest } from "./agent-credential.ts";

/** How long any agent's credential may live, in milliseconds: a revocation is kept for so long. */
export const MAX_AGENT_CREDENTIAL_MS: number = 24 * 3_600_000;

/** A coordinator's power over agents' credentials. Where the broker asks for no credentials, there is none. */
export interface BusTrust extends AsyncDisposable {
  /**
   * Issues a credential: a user JWT, good for nothing without the private part of the key. Throws a RangeError when it would live for
   * longer than {@link MAX_AGENT_CREDENTIAL_MS}, and for names and keys that are none.
   */
  issueAgentCredential(request: AgentCredentialRequest): string;
  /**
   * Ends all credentials that a key got until now. Resolves when at least one broker has closed its connections; the others follow within
   * seconds, or when they are back. What is issued for the key after this second is good. Throws MeshError BROKER_UNAVAILABLE; the
   * revocation is then in force as soon as any coordinator reaches the brokers, if it was kept at all.
   */
  revoke(publicKey: string): Promise<void>;
  /** Ends all agents' credentials that were issued until now: agents that run get new ones when they register again. See `revoke`. */
  revokeAll(): Promise<void>;
}
