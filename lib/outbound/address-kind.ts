// Decides what an IP address is for. Pure. Only what is known to be public unicast is public: an address that nobody
// has thought of is not.
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

/** What an address is for; only `public` may be connected to without the operator's leave. */
export type AddressKind =
  | "public"
  | "unspecified"
  | "loopback"
  | "private"
  | "link-local"
  | "unique-local"
  | "carrier-grade NAT"
  | "multicast"
  | "broadcast"
  | "cloud metadata"
  | "tunnelled"
  | "reserved";

/** An address in the form in which it is judged and connected to. */
export interface Address {
  /** As text; an IPv4-mapped IPv6 address stands here as the IPv4 address that the system would connect to. */
  readonly text: string;
  /** 4 or 6. */
  readonly family: 4 | 6;
  /** What it is for. */
  readonly kind: AddressKind;
}

type Parsed = ReturnType<typeof ipaddr.parse>;

// Services that hand out a machine's credentials to whoever asks from it. Some lie in public or merely shared ranges.
const METADATA: ReadonlySet<string> = new Set([
  "169.254.169.254", // AWS, Google, Azure, Oracle, DigitalOcean, OpenStack and others
  "169.254.170.2", // AWS: credentials of ECS tasks
  "169.254.170.23", // AWS: credentials of EKS pods
  "168.63.129.16", // Azure: wire server
  "100.100.100.200", // Alibaba
  "192.0.0.192", // Oracle, of old
  "fd00:ec2::254", // AWS
  "fd00:ec2::23", // AWS: credentials of EKS pods
  "fd20:ce::254", // Google
  "fd00:42::42", // Scaleway
]);

const KINDS: Readonly<Record<string, AddressKind>> = {
  unspecified: "unspecified",
  loopback: "loopback",
  private: "private",
  linkLocal: "link-local",
  deprecatedSiteLocal: "private",
  uniqueLocal: "unique-local",
  carrierGradeNat: "carrier-grade NAT",
  multicast: "multicast",
  broadcast: "broadcast",
  // A gateway on the way would unwrap these to an IPv4 address of its choice.
  "6to4": "tunnelled",
  teredo: "tunnelled",
  rfc6145: "tunnelled",
  rfc6052: "tunnelled",
};

const NAT64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96");
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR("2000::/3");
// ::a.b.c.d, long out of use, but some systems still route it to the IPv4 address.
const IPV4_COMPATIBLE = ipaddr.IPv6.parseCIDR("::/96");

/** Reads and judges an IP address; undefined for what is none. A zone (`fe80::1%eth0`) is not kept. */
export function readAddress(text: string): Address | undefined {
  const bare = text.split("%", 1)[0] ?? "";
  const version = isIP(bare);
  if (version === 0) return undefined;
  // The library takes ::127.0.0.1 for ::ffff:127.0.0.1, which is another address; in hexadecimal they stay apart.
  const plain = version === 6 ? URL.parse(`http://[${bare}]`)?.hostname.slice(1, -1) : bare;
  if (plain === undefined) return undefined;
  const parsed = ipaddr.process(plain);
  return { text: parsed.toString(), family: parsed.kind() === "ipv4" ? 4 : 6, kind: kindOf(parsed) };
}

function kindOf(address: Parsed): AddressKind {
  if (METADATA.has(address.toString())) return "cloud metadata";
  const range = address.range();
  if (address.kind() === "ipv4") return rangeKind(range);
  // The well-known prefix leads to the IPv4 address in its last four bytes, on networks that have IPv6 only.
  if (address.match(NAT64)) return kindOf(ipaddr.fromByteArray(address.toByteArray().slice(12)));
  if (address.match(IPV4_COMPATIBLE) && range !== "loopback" && range !== "unspecified") return "tunnelled";
  if (rangeKind(range) !== "public") return rangeKind(range);
  if (!address.match(GLOBAL_UNICAST)) return "reserved";
  return isIsatap(address) ? "tunnelled" : "public";
}

function rangeKind(range: string): AddressKind {
  return range === "unicast" ? "public" : (KINDS[range] ?? "reserved");
}

// RFC 5214: the last four bytes are an IPv4 address behind any prefix.
function isIsatap(address: Parsed): boolean {
  const [a, b, c, d] = address.toByteArray().slice(8, 12);
  return (a === 0 || a === 2) && b === 0 && c === 0x5e && d === 0xfe;
}
