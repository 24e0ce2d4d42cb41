// Owns how a process proves to HashiCorp Vault who it is, and what it gets for it: by a token, an AppRole or Kubernetes.
import { z } from "zod";
import { Secret } from "../secret.ts";
import { encodedPath, type VaultApi } from "./vault-api.ts";
import { VaultError } from "./vault-error.ts";

/** Who a process is to Vault. What it reads, it reads anew for each login, so that it may be changed meanwhile. */
export type VaultIdentity =
  | { readonly kind: "token"; readonly token: () => Promise<Secret> }
  | {
      readonly kind: "approle";
      /** Where the method is mounted, e.g. `approle`. */
      readonly mount: string;
      readonly roleId: string;
      readonly secretId: () => Promise<Secret>;
    }
  | {
      readonly kind: "kubernetes";
      readonly mount: string;
      readonly role: string;
      /** The service account's token. */
      readonly jwt: () => Promise<Secret>;
    };

/** A token with the time for which it is good. */
export interface VaultLease {
  readonly token: Secret;
  /** From now; undefined for one that never expires. */
  readonly ttlMs: number | undefined;
  readonly renewable: boolean;
}

const Auth = z.object({
  auth: z.object({ client_token: z.string().min(1), lease_duration: z.number().min(0), renewable: z.boolean() }),
});
const Lookup = z.object({ data: z.object({ ttl: z.number().min(0), renewable: z.boolean().default(false) }) });

/** Logs in. Throws VaultError, or what reading the credential throws. */
export async function logIn(api: VaultApi, identity: VaultIdentity): Promise<VaultLease> {
  switch (identity.kind) {
    case "token":
      return lookedUp(api, await identity.token());
    case "approle": {
      const secretId = await identity.secretId();
      return exchanged(api, identity.mount, { role_id: identity.roleId, secret_id: secretId.reveal() });
    }
    case "kubernetes": {
      const jwt = await identity.jwt();
      return exchanged(api, identity.mount, { role: identity.role, jwt: jwt.reveal() });
    }
  }
}

/** Makes a token good for longer. Throws VaultError. */
export async function renew(api: VaultApi, { token }: VaultLease): Promise<VaultLease> {
  const answer = await api.call({ method: "POST", path: "auth/token/renew-self", token, body: {} });
  return leaseIn(api, answer);
}

async function exchanged(api: VaultApi, mount: string, body: Readonly<Record<string, string>>): Promise<VaultLease> {
  return leaseIn(api, await api.call({ method: "POST", path: `auth/${encodedPath(mount)}/login`, body }));
}

async function lookedUp(api: VaultApi, token: Secret): Promise<VaultLease> {
  try {
    const answer = await api.call({ method: "GET", path: "auth/token/lookup-self", token });
    const { ttl, renewable } = parsed(api, Lookup, answer).data;
    return { token, ttlMs: ttl === 0 ? undefined : ttl * 1000, renewable };
  } catch (error) {
    // A token may be allowed to read a secret and not to look at itself. If it is not good at all, reading will say so.
    if (error instanceof VaultError && error.fault === "forbidden")
      return { token, ttlMs: undefined, renewable: false };
    throw error;
  }
}

function leaseIn(api: VaultApi, answer: unknown): VaultLease {
  const { auth } = parsed(api, Auth, answer);
  const ttlMs = auth.lease_duration === 0 ? undefined : auth.lease_duration * 1000;
  return { token: new Secret(auth.client_token), ttlMs, renewable: auth.renewable };
}

/** The answer, if it has the shape of Vault's. Throws VaultError without quoting it. */
export function parsed<T>({ address }: VaultApi, shape: z.ZodType<T>, answer: unknown): T {
  const result = shape.safeParse(answer);
  if (result.success) return result.data;
  const place = result.error.issues[0]?.path.join(".") ?? "";
  throw new VaultError("garbled", `Vault at ${address} answered without a usable ${place === "" ? "object" : place}`);
}
