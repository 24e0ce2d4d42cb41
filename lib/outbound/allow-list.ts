// Owns which addresses an operator allows beyond the public ones: by range, by address or by host name. Pure.
import ipaddr from "ipaddr.js";
import { type Address, readAddress } from "./address-kind.ts";

type Range = ReturnType<typeof ipaddr.parseCIDR>;

/** What an operator allows. */
export interface AllowList {
  /** Whether a connection to `address`, found under the name `host`, may be made. */
  allows(host: string, address: Address): boolean;
}

/**
 * Reads the operator's list. Each entry is a range (`10.0.0.0/8`, `fd00::/8`), an address (`127.0.0.1`, `::1`), a host name
 * (`metrics.internal`) or all names below one (`*.svc.cluster.local`). A name allows every address that it resolves to.
 * Cloud metadata services are allowed by their exact address only: no range or name that happens to hold one lets them in.
 *
 * Throws RangeError for an entry that is none of these.
 */
export function readAllowList(entries: readonly string[]): AllowList {
  const ranges: Range[] = [];
  const addresses = new Set<string>();
  const names = new Set<string>();
  const suffixes: string[] = [];
  for (const entry of entries.map((text) => text.trim())) {
    const address = readAddress(entry);
    if (address !== undefined) addresses.add(address.text);
    else if (entry.includes("/")) ranges.push(readRange(entry));
    else if (entry.startsWith("*.")) suffixes.push(`.${readName(entry.slice(2), entry)}`);
    else names.add(readName(entry, entry));
  }
  return {
    allows(host, address) {
      if (address.kind === "public" || addresses.has(address.text)) return true;
      if (address.kind === "cloud metadata") return false;
      const name = bareHost(host);
      if (names.has(name) || suffixes.some((suffix) => name.endsWith(suffix))) return true;
      const parsed = ipaddr.parse(address.text);
      return ranges.some((range) => range[0].kind() === parsed.kind() && parsed.match(range));
    },
  };
}

/** A host name without the dot that may end it. */
export function bareHost(host: string): string {
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

function readRange(entry: string): Range {
  const [base = "", bits = ""] = entry.split("/");
  const address = readAddress(base);
  const isWhole = /^\d{1,3}$/.test(bits) && entry.split("/").length === 2;
  // An IPv4-mapped range would never match: such addresses are judged as the IPv4 addresses they stand for.
  if (address === undefined || !isWhole || (address.family === 4 && base.includes(":"))) throw invalid(entry);
  if (Number(bits) > (address.family === 4 ? 32 : 128)) throw invalid(entry);
  return [ipaddr.parse(address.text), Number(bits)];
}

/** The name as URLs spell it: lower case, punycode. */
function readName(name: string, entry: string): string {
  const host = URL.parse(`http://${name}/`)?.hostname;
  if (name === "" || host === undefined || /[\s/?#@:*\\]/.test(name) || readAddress(host) !== undefined) {
    throw invalid(entry);
  }
  return bareHost(host);
}

function invalid(entry: string): RangeError {
  const shown = JSON.stringify(entry.slice(0, 100));
  return new RangeError(
    `allowPrivate (MYCEL_OUTBOUND_ALLOW) has ${shown}, must be a range in CIDR form, an address, a host name or *.name`,
  );
}
