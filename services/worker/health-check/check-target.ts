// What a `health-check` task may name as its target, read from its text. Pure.
import { readHostPort, readUrl, type Target } from "../../../lib/outbound/target.ts";

/** Whom a check asks, and how. */
export type CheckTarget =
  | { readonly kind: "http"; readonly url: string; readonly secure: boolean }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** Reads `tcp:HOST:PORT`, `tcp://HOST:PORT` or a URL. Throws OutboundError INVALID_URL. */
export function readCheckTarget(text: string): CheckTarget {
  const tcp = /^tcp:(?:\/\/)?(?<host>[^/]*?)(?::(?<port>\d{1,9}))?\/?$/i.exec(text);
  if (tcp === null) {
    const { url, secure } = readUrl(text);
    return { kind: "http", url: url.href, secure };
  }
  const host = tcp.groups?.["host"] ?? "";
  const bare = /^\[.*\]$/.test(host) ? host.slice(1, -1) : host;
  // Without a port it is 0, which is refused as any port outside of the range is.
  const target: Target = readHostPort(bare, Number(tcp.groups?.["port"] ?? 0));
  return { kind: "tcp", host: target.host, port: target.port };
}
