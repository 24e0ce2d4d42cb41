// What nats-server is told about whom to trust: the operator, the servers' own account, and where it keeps accounts' JWTs. All of it is public.

/** Whom a server trusts. */
export interface ServerTrust {
  /** The operator's JWT. */
  readonly operator: string;
  /** The public key of the servers' own account. */
  readonly systemAccount: string;
  /** The public key of the account that has the mesh's streams. */
  readonly meshAccount: string;
  /** The accounts' JWTs by public key, as they were made. A server keeps newer ones that were pushed to it. */
  readonly accounts: Readonly<Record<string, string>>;
}

/** How often a server asks the others of its cluster for JWTs that it missed; it does so at its start, too. */
const SYNC_INTERVAL = "10s";

/**
 * The longest line of a client, which may be its credentials: an agent's name each of its queues four times. nats-server's own bound of
 * 4 KB is reached by a dozen of them.
 */
const MAX_CONTROL_LINE = "512KB";

/** Lines of nats-server's configuration. `resolverDir` is a quoted path, or a variable. */
export function serverTrustLines({ operator, systemAccount, accounts }: ServerTrust, resolverDir: string): string[] {
  return [
    `operator: ${operator}`,
    `system_account: ${systemAccount}`,
    "resolver {",
    "  type: full",
    `  dir: ${resolverDir}`,
    "  allow_delete: false",
    `  interval: "${SYNC_INTERVAL}"`,
    "}",
    "resolver_preload {",
    ...Object.entries(accounts).map(([id, jwt]) => `  ${id}: ${jwt}`),
    "}",
    `max_control_line: ${MAX_CONTROL_LINE}`,
  ];
}
