// Owns how the address to listen on is written. Pure.

/** Where to listen. */
export interface Address {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  /** From 0 to 65535; 0 picks a free one. */
  readonly port: number;
}

/** Reads `host:port`, `[v6]:port`, `:port` or a port alone, the latter two on 127.0.0.1; undefined for anything else. */
export function readAddress(text: string): Address | undefined {
  const match = /^(?:(?:\[(?<v6>[^\]]+)\]|(?<host>[^:[\]]*)):)?(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.["port"] ?? Number.NaN);
  if (match === null || port > 65_535) return undefined;
  return { host: match.groups?.["v6"] || match.groups?.["host"] || "127.0.0.1", port };
}

/** The address as {@link readAddress} reads it. */
export function shownAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
