// What an address is for: tables of the special ranges, and properties over whole address spaces.
import * as fc from "fast-check";
import ipaddr from "ipaddr.js";
import { expect, test } from "vitest";
import { type AddressKind, readAddress } from "../../../lib/outbound/address-kind.ts";

test.for<[string, AddressKind]>([
  ["8.8.8.8", "public"],
  ["1.1.1.1", "public"],
  ["172.15.255.255", "public"],
  ["172.32.0.0", "public"],
  ["100.63.255.255", "public"],
  ["223.255.255.255", "public"],
  ["0.0.0.0", "unspecified"],
  ["0.1.2.3", "unspecified"],
  ["127.0.0.1", "loopback"],
  ["127.255.255.255", "loopback"],
  ["10.0.0.0", "private"],
  ["172.16.0.1", "private"],
  ["172.31.255.255", "private"],
  ["192.168.255.255", "private"],
  ["169.254.0.1", "link-local"],
  ["100.64.0.0", "carrier-grade NAT"],
  ["100.127.255.255", "carrier-grade NAT"],
  ["224.0.0.1", "multicast"],
  ["239.255.255.255", "multicast"],
  ["255.255.255.255", "broadcast"],
  ["240.0.0.1", "reserved"],
  ["192.0.0.1", "reserved"],
  ["192.0.2.1", "reserved"],
  ["198.51.100.1", "reserved"],
  ["203.0.113.1", "reserved"],
  ["198.18.0.1", "reserved"],
  ["198.19.255.255", "reserved"],
  ["192.88.99.1", "reserved"],
  ["169.254.169.254", "cloud metadata"],
  ["169.254.170.2", "cloud metadata"],
  ["100.100.100.200", "cloud metadata"],
  ["168.63.129.16", "cloud metadata"],
  ["2606:4700:4700::1111", "public"],
  ["2a00:1450:4001:81b::200e", "public"],
  ["::", "unspecified"],
  ["::1", "loopback"],
  ["fe80::1", "link-local"],
  ["fe80::1%eth0", "link-local"],
  ["fec0::1", "private"],
  ["fc00::1", "unique-local"],
  ["fdff:ffff::1", "unique-local"],
  ["ff02::1", "multicast"],
  ["2001:db8::1", "reserved"],
  ["3fff::1", "reserved"],
  ["2001:2::1", "reserved"],
  ["2001:20::1", "reserved"],
  ["100::1", "reserved"],
  ["4000::1", "reserved"],
  ["5f00::1", "reserved"],
  ["2002:808:808::1", "tunnelled"],
  ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "tunnelled"],
  ["2606:4700::5efe:7f00:1", "tunnelled"],
  ["2606:4700::200:5efe:a00:1", "tunnelled"],
  ["::127.0.0.1", "tunnelled"],
  ["::8.8.8.8", "tunnelled"],
  ["::ffff:0:127.0.0.1", "tunnelled"],
  ["64:ff9b:1::a00:1", "tunnelled"],
  ["64:ff9b::8.8.8.8", "public"],
  ["64:ff9b::10.0.0.1", "private"],
  ["64:ff9b::127.0.0.1", "loopback"],
  ["64:ff9b::169.254.169.254", "cloud metadata"],
  ["fd00:ec2::254", "cloud metadata"],
  ["FD00:0EC2:0:0::254", "cloud metadata"],
  ["::ffff:127.0.0.1", "loopback"],
  ["::ffff:7f00:1", "loopback"],
  ["::ffff:169.254.169.254", "cloud metadata"],
  ["::ffff:8.8.8.8", "public"],
])("%s is %s", ([text, kind]) => {
  expect(readAddress(text)?.kind).toBe(kind);
});

test.for([
  "",
  "example.org",
  "2130706433",
  "127.1",
  "0177.0.0.1",
  "0x7f.0.0.1",
  "[::1]",
  "1.2.3.4.5",
  "::1::",
  "10.0.0.0/8",
])("%j is no address", (text) => {
  expect(readAddress(text)).toBeUndefined();
});

test("a mapped address becomes the IPv4 address that the system would connect to", () => {
  expect(readAddress("::ffff:10.1.2.3")).toEqual({ text: "10.1.2.3", family: 4, kind: "private" });
});

const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
const pieces = fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 });

test("an IPv4 address is judged alike in plain, mapped and NAT64 form", () => {
  fc.assert(
    fc.property(octets, (parts) => {
      const plain = parts.join(".");
      const kind = readAddress(plain)!.kind;
      expect(readAddress(`::ffff:${plain}`)).toEqual(readAddress(plain));
      expect(readAddress(`64:ff9b::${plain}`)?.kind).toBe(kind);
    }),
    { numRuns: 2_000 },
  );
});

test("an IPv4 address in a range of the registry of special addresses is never public", () => {
  const special = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
  ];
  fc.assert(
    fc.property(fc.constantFrom(...special), octets, (range, parts) => {
      const text = within(range, parts);
      expect([text, readAddress(text)?.kind]).not.toEqual([text, "public"]);
      const mapped = `::ffff:${text}`;
      expect([mapped, readAddress(mapped)?.kind]).not.toEqual([mapped, "public"]);
    }),
    { numRuns: 4_000 },
  );
});

test("an IPv6 address outside of global unicast, or in a special range of it, is never public", () => {
  const special = [
    "::/96",
    "100::/8",
    "400::/6",
    "800::/5",
    "1000::/4",
    "4000::/2",
    "8000::/1",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "64:ff9b:1::/48",
  ];
  fc.assert(
    fc.property(fc.constantFrom(...special), pieces, (range, parts) => {
      const bytes = parts.flatMap((piece) => [piece >> 8, piece & 0xff]);
      const text = within(range, bytes);
      expect([text, readAddress(text)?.kind]).not.toEqual([text, "public"]);
    }),
    { numRuns: 4_000 },
  );
});

/** The address that begins as `range` does and goes on as `bytes` do. */
function within(range: string, bytes: readonly number[]): string {
  const [base, bits] = ipaddr.parseCIDR(range);
  const mixed = base.toByteArray().map((byte, index) => {
    const fixed = Math.min(8, Math.max(0, bits - index * 8));
    const mask = (0xff << (8 - fixed)) & 0xff;
    return (byte & mask) | (bytes[index]! & ~mask & 0xff);
  });
  return ipaddr.fromByteArray(mixed).toString();
}
