// Tells the servers of an account's JWT, and asks what they have. Its connection is one to the servers' own account, opened when it is needed.

import { type NatsConnection, openNats } from "../connection.ts";
import type { NatsTlsOptions } from "../nats-tls.ts";

/** Where the servers are, and who asks. */
export interface ClaimsDeskOptions {
  readonly servers: string | readonly string[];
  /** How they are spoken to by TLS. */
  readonly tls?: NatsTlsOptions | undefined;
  /** The file of credentials in the servers' account. */
  readonly credentialsFile: string;
}

const ANSWER_TIMEOUT_MS = 3_000;

/** Disposing it closes its connection. */
export class ClaimsDesk implements AsyncDisposable {
  readonly #options: ClaimsDeskOptions;
  #connection: Promise<NatsConnection> | undefined;

  constructor(options: ClaimsDeskOptions) {
    this.#options = options;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    await connection?.close();
  }

  /**
   * Pushes a JWT to all servers that can be reached. Resolves when the first of them has it: its connections whose credentials are revoked
   * by it are closed then. An older one replaces a newer one, so that whoever pushes must look again afterwards. Throws.
   */
  async push(jwt: string): Promise<void> {
    const connection = await this.#open();
    const answer = await connection.request("$SYS.REQ.CLAIMS.UPDATE", jwt, { timeout: ANSWER_TIMEOUT_MS });
    const { data, error } = answer.json<Answer>();
    if (data?.code === 200) return;
    throw new Error(`a server refuses the JWT of an account: ${error?.description ?? data?.message ?? "no reason"}`);
  }

  /** The JWT of an account as one of the servers has it; empty if it has none. Throws. */
  async lookUp(account: string): Promise<string> {
    const connection = await this.#open();
    const subject = `$SYS.REQ.ACCOUNT.${account}.CLAIMS.LOOKUP`;
    return (await connection.request(subject, "", { timeout: ANSWER_TIMEOUT_MS })).string();
  }

  async #open(): Promise<NatsConnection> {
    const { servers, tls, credentialsFile } = this.#options;
    this.#connection ??= openNats({ servers, tls, credentialsFile, name: "mycel coordinator (accounts)" });
    try {
      return await this.#connection;
    } catch (error) {
      this.#connection = undefined;
      throw error;
    }
  }
}

interface Answer {
  readonly data?: { readonly code?: number; readonly message?: string };
  readonly error?: { readonly description?: string };
}
