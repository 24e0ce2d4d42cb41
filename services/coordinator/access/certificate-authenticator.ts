// Who a caller is by its client certificate, which the handshake has verified. Only who shows nothing else is known by it: a certificate
// may be that of a machine from which somebody calls.

import type { Principal } from "../../../lib/core/access/principal.ts";
import type { PeerCertificateFacts } from "../../../lib/rpc/peer.ts";
import type { Authenticator } from "./authenticator.ts";
import type { Policy } from "./policy.ts";

/** Makes the authenticator of certificates: they stand for one of their URIs, or else for their common name if that looks like no URI. */
export function createCertificateAuthenticator(policy: Policy): Authenticator {
  return {
    authenticate({ authorization, peer: { certificate } }) {
      return authorization === undefined && certificate !== undefined ? principalOf(policy, certificate) : undefined;
    },
  };
}

/** Of several names, the first that is bound to anything counts. */
function principalOf(policy: Policy, { uris, commonName, expiresMs }: PeerCertificateFacts): Principal | undefined {
  // Authorities look less closely at common names than at URIs: none must pass for one.
  const names = commonName === "" || commonName.includes(":") ? uris : [...uris, commonName];
  const bound = names.filter((id) => id !== "").map((id) => ({ id, ...policy.bindingOf({ kind: "certificate", id }) }));
  const found = bound.find(({ roles }) => roles.length > 0) ?? bound[0];
  if (found === undefined) return undefined;
  const { id, tenant, roles } = found;
  return { kind: "certificate", id, tenant, grants: policy.grantsOf(roles), expiresMs };
}
