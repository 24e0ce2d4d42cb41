// What verifies credentials, as the gate sees it. Knows no kind of credential itself.

import type { Principal } from "../../../lib/core/access/principal.ts";
import type { Peer } from "../../../lib/rpc/peer.ts";

/** What a caller shows of itself. */
export interface Credential {
  /** The header of that name as it came, e.g. `Bearer …`; absent if there was none. */
  readonly authorization?: string;
  /** The other end of the connection, with its certificate if it showed one. */
  readonly peer: Peer;
}

/** Verifies one kind of credential. */
export interface Authenticator {
  /**
   * The principal that a credential stands for; undefined if it is not of this kind. Asked at each call, and again for calls that last: a
   * good answer may be remembered, but not beyond the end or the revocation of the credential. What a principal may do is asked of the
   * policy each time.
   *
   * @throws MeshError CREDENTIAL_INVALID for a credential of this kind that is not good, see {@link credentialInvalid}; one with another
   * reason when that can't be found out now.
   */
  authenticate(credential: Credential): Principal | undefined | Promise<Principal | undefined>;
  /** Has a function called whenever a credential may have become bad before its end, e.g. as it was revoked. Returns what stops that. */
  onRevoked?(revoked: () => void): () => void;
}
