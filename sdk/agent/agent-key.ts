// Owns the key pair that an agent makes for itself, once for each process: its private part never leaves it.
import type { Authenticator } from "@nats-io/nats-core";
import { SigningKey } from "../../lib/nats/trust/signing-key.ts";

/** What the agent logs in to NATS with, and how long that is good. */
export interface AgentCredential {
  /** The user JWT. */
  readonly jwt: string;
  /** When it ends, on this process's monotonic clock, in milliseconds. */
  readonly endsMs: number;
  /** For how long it is good in all, in milliseconds. */
  readonly lifetimeMs: number;
}

/** The key pair of an agent. */
export class AgentKey {
  readonly #key: SigningKey = SigningKey.create("U");

  /** The public part, as RegisterAgent takes it. */
  get publicKey(): string {
    return this.#key.publicKey;
  }

  /** Logs in with whichever credential is the newest then; with nothing while there is none. */
  authenticator(newest: () => AgentCredential | undefined): Authenticator {
    return (nonce) => {
      const credential = newest();
      if (credential === undefined || nonce === undefined) return undefined;
      const signature = this.#key.sign(new TextEncoder().encode(nonce));
      return { jwt: credential.jwt, nkey: this.publicKey, sig: Buffer.from(signature).toString("base64url") };
    };
  }
}
