// Which agents' public keys are known, and to whom credentials were issued for them. Follows the bucket of what was issued, as far as this
// process has heard of it; decides nothing.

import type { IssuedCredential, IssuedCredentials } from "../../../gen/mycel/v1/agent_log_pb.ts";

/** One that got credentials for a key. */
export interface Holder {
  /** Where it stands in the bucket: `<tenant>.<agent>`. */
  readonly agent: string;
  readonly credential: IssuedCredential;
}

/** The holders of keys, by key. */
export class KeyHolders {
  readonly #byKey = new Map<string, readonly Holder[]>();
  /** How many credentials stand under the agents of each tenant. */
  readonly #counts = new Map<string, number>();

  /** Takes a change of what stands under an agent. */
  take(agent: string, now: IssuedCredentials | undefined, before: IssuedCredentials | undefined): void {
    for (const { publicKey } of before?.credentials ?? []) this.#drop(publicKey, agent);
    for (const credential of now?.credentials ?? []) {
      const others = this.#byKey.get(credential.publicKey) ?? [];
      this.#byKey.set(credential.publicKey, [...others, { agent, credential }]);
    }
    const tenant = agent.slice(0, agent.indexOf("."));
    const more = (now?.credentials.length ?? 0) - (before?.credentials.length ?? 0);
    const count = (this.#counts.get(tenant) ?? 0) + more;
    if (count === 0) this.#counts.delete(tenant);
    else this.#counts.set(tenant, count);
  }

  /** Who got credentials for a key, also those that have ended meanwhile. */
  of(publicKey: string): readonly Holder[] {
    return this.#byKey.get(publicKey) ?? [];
  }

  /** How many keys of a tenant are known, those included whose credentials have ended meanwhile. */
  countOf(tenant: string): number {
    return this.#counts.get(tenant) ?? 0;
  }

  /** How many tenants have keys that are known. */
  get tenants(): number {
    return this.#counts.size;
  }

  #drop(publicKey: string, agent: string): void {
    const left = this.of(publicKey).filter((holder) => holder.agent !== agent);
    if (left.length === 0) this.#byKey.delete(publicKey);
    else this.#byKey.set(publicKey, left);
  }
}
