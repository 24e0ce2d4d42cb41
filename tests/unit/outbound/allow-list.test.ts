// What an operator allows beyond public addresses: ranges, addresses, names, and the exact rule for metadata services.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { readAddress } from "../../../lib/outbound/address-kind.ts";
import { readAllowList } from "../../../lib/outbound/allow-list.ts";

function allows(entries: readonly string[], host: string, address: string): boolean {
  return readAllowList(entries).allows(host, readAddress(address)!);
}

test.for<[string[], string, string, boolean]>([
  [[], "example.org", "8.8.8.8", true],
  [[], "example.org", "10.0.0.1", false],
  [["10.0.0.0/8"], "example.org", "10.255.0.1", true],
  [["10.0.0.0/8"], "example.org", "11.0.0.1", true],
  [["10.0.0.0/8"], "example.org", "192.168.0.1", false],
  [["10.0.0.0/8"], "example.org", "::ffff:10.0.0.1", true],
  [["10.0.0.0/8"], "example.org", "64:ff9b::10.0.0.1", false],
  [["64:ff9b::/96"], "example.org", "64:ff9b::10.0.0.1", true],
  [["fd00::/8"], "example.org", "fd12::1", true],
  [["fd00::/8"], "example.org", "127.0.0.1", false],
  [["0.0.0.0/0"], "example.org", "127.0.0.1", true],
  [["0.0.0.0/0"], "example.org", "::1", false],
  [["127.0.0.1"], "example.org", "127.0.0.1", true],
  [["127.0.0.1"], "example.org", "127.0.0.2", false],
  [["::1"], "example.org", "0:0:0:0:0:0:0:1", true],
  [["::ffff:127.0.0.1"], "example.org", "127.0.0.1", true],
  [["metrics.internal"], "metrics.internal", "10.0.0.1", true],
  [["Metrics.Internal."], "metrics.internal", "10.0.0.1", true],
  [["metrics.internal"], "metrics.internal.", "10.0.0.1", true],
  [["metrics.internal"], "evil-metrics.internal", "10.0.0.1", false],
  [["metrics.internal"], "a.metrics.internal", "10.0.0.1", false],
  [["*.internal"], "a.b.internal", "10.0.0.1", true],
  [["*.internal"], "internal", "10.0.0.1", false],
  [["*.internal"], "notinternal", "10.0.0.1", false],
  [["bücher.example"], "xn--bcher-kva.example", "10.0.0.1", true],
  [["169.254.0.0/16"], "example.org", "169.254.1.1", true],
  [["169.254.0.0/16"], "example.org", "169.254.169.254", false],
  [["metadata.internal"], "metadata.internal", "169.254.169.254", false],
  [["0.0.0.0/0", "::/0"], "example.org", "fd00:ec2::254", false],
  [["169.254.169.254"], "example.org", "169.254.169.254", true],
  [["168.63.129.16"], "example.org", "168.63.129.16", true],
])("with %j, %s at %s: %j", ([entries, host, address, allowed]) => {
  expect(allows(entries, host, address)).toBe(allowed);
});

test.for([
  "",
  "10.0.0.0/33",
  "10.0.0.0/8/8",
  "10.0.0.0/x",
  "10.0.0/8",
  "::/129",
  "::ffff:10.0.0.0/104",
  "a b",
  "http://a",
  "a:80",
  "*",
  "*.",
  "*.10.0.0.1",
  "user@host",
  "127.1",
])("%j is refused with a line that names it", (entry) => {
  expect(() => readAllowList(["10.0.0.0/8", entry])).toThrow(
    `allowPrivate (MYCEL_OUTBOUND_ALLOW) has ${JSON.stringify(entry)}, must be a range in CIDR form, an address, a host name or *.name`,
  );
});

test("without an entry exactly the public addresses are allowed", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const address = readAddress(text)!;
      expect(readAllowList([]).allows("example.org", address)).toBe(address.kind === "public");
    }),
    { numRuns: 2_000 },
  );
});
