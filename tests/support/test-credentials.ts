// Credentials that are good because a test says so: `Test <name>`, for principals that it names.
import { MeshError } from "../../lib/core/mesh-error.ts";
import type { Grant, Principal } from "../../lib/core/access/principal.ts";
import type { Authenticator } from "../../services/coordinator/access/authenticator.ts";
import { credentialInvalid } from "../../services/coordinator/access/refusals.ts";

/** An authenticator whose principals can be changed while it works. */
export interface TestCredentials extends Authenticator {
  /** By name. One that is put, replaced or taken away counts from the next call on. */
  readonly principals: Map<string, Principal | MeshError>;
  /** Says that a credential was revoked. */
  revoked(): void;
}

/** What a header presents for a name. */
export function testHeader(name: string): { readonly authorization: string } {
  return { authorization: `Test ${name}` };
}

/** Makes one. With `async`, it answers later, as one does that has to ask elsewhere. */
export function testCredentials(
  principals: Readonly<Record<string, Principal>>,
  options: { readonly isAsync?: boolean } = {},
): TestCredentials {
  const known = new Map<string, Principal | MeshError>(Object.entries(principals));
  const listeners = new Set<() => void>();
  return {
    principals: known,
    authenticate({ authorization }) {
      const name = authorization?.match(/^Test (.*)$/)?.[1];
      if (name === undefined) return undefined;
      const found = known.get(name) ?? credentialInvalid(`nobody is called ${name}`);
      if (options.isAsync === true) {
        return new Promise((resolve, reject) => {
          setImmediate(() => (found instanceof MeshError ? reject(found) : resolve(found)));
        });
      }
      if (found instanceof MeshError) throw found;
      return found;
    },
    onRevoked(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    revoked() {
      for (const listener of listeners) listener();
    },
  };
}

/** A principal of a test. */
export function testPrincipal(grants: readonly Grant[], more: Partial<Principal> = {}): Principal {
  return { kind: "token", id: "somebody", tenant: "default", grants, expiresMs: Infinity, ...more };
}
