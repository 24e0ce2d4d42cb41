// Who may connect at all, by address: checked as a connection is accepted, before anything is read from it.
import ipaddr from "ipaddr.js";

/** Whether a peer with this address may connect. */
export type PeerAllowList = (address: string) => boolean;

/**
 * Reads a list of addresses (`10.1.2.3`, `::1`) and ranges (`10.0.0.0/8`, `fd00::/8`). An empty one allows everybody. An IPv4 peer is known
 * by its IPv4 address, however the socket came by it.
 *
 * @throws RangeError for an entry that is neither.
 */
export function readPeerAllowList(entries: readonly string[]): PeerAllowList {
  const ranges = entries.map((entry) => rangeOf(entry.trim()));
  if (ranges.length === 0) return () => true;
  return (address) => {
    if (!ipaddr.isValid(address)) return false;
    const peer = ipaddr.process(address);
    return ranges.some((range) => range[0].kind() === peer.kind() && peer.match(range));
  };
}

type Range = ReturnType<typeof ipaddr.parseCIDR>;

function rangeOf(entry: string): Range {
  const problem = `${JSON.stringify(entry)} is neither an IP address nor a range such as 10.0.0.0/8`;
  const [base = "", bits, ...more] = entry.split("/");
  // `isValid` takes 10.1 and 0xa000001 for addresses, too.
  if (!(ipaddr.IPv4.isValidFourPartDecimal(base) || ipaddr.IPv6.isValid(base)) || more.length > 0) {
    throw new RangeError(problem);
  }
  const address = ipaddr.parse(base);
  const longest = address.kind() === "ipv4" ? 32 : 128;
  if (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > longest)) throw new RangeError(problem);
  const prefix = bits === undefined ? longest : Number(bits);
  if (!("isIPv4MappedAddress" in address && address.isIPv4MappedAddress())) return [address, prefix];
  // A range of mapped addresses is one of IPv4 addresses, if it is no wider.
  if (prefix < 96) throw new RangeError(problem);
  return [ipaddr.process(base), prefix - 96];
}
