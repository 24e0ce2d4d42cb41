// Whose address a call has: nobody can make one up, unless a proxy that is trusted says so.
import { describe, expect, test } from "vitest";
import { clientAddressBehind, networkOf } from "../../../services/coordinator/limits/client-address.ts";

const behind = clientAddressBehind(["10.0.0.0/8", "fd00::/8"]);

test.for<[connection: string, forwarded: string | null, address: string]>([
  ["203.0.113.9", null, "203.0.113.9"],
  // Whoever comes by itself is not believed.
  ["203.0.113.9", "198.51.100.1", "203.0.113.9"],
  ["10.0.0.1", null, "10.0.0.1"],
  ["10.0.0.1", "198.51.100.1", "198.51.100.1"],
  ["fd00::1", "198.51.100.1", "198.51.100.1"],
  // What stands before the last address that is no proxy's was made up.
  ["10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"],
  ["10.0.0.1", "1.2.3.4, 198.51.100.1, 10.0.0.2", "198.51.100.1"],
  ["10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
  ["10.0.0.1", "198.51.100.1:4711", "198.51.100.1"],
  ["10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"],
  ["10.0.0.1", "2001:db8::1", "2001:db8::1"],
  ["10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"],
  // A proxy that says what is no address.
  ["10.0.0.1", "unknown", "10.0.0.1"],
  ["10.0.0.1", "", "10.0.0.1"],
  ["10.0.0.1", "198.51.100.1, nonsense, 10.0.0.2", "10.0.0.2"],
  ["10.0.0.1", "1".repeat(100_000), "10.0.0.1"],
  ["10.0.0.1", "0x7f.1", "10.0.0.1"],
])("a connection from %s that forwards for %j counts as %s", ([connection, forwarded, address]) => {
  expect(behind(connection, forwarded)).toBe(address);
});

test("a header of a million hops is not gone through", () => {
  expect(behind("10.0.0.1", Array.from({ length: 1_000_000 }, () => "10.0.0.2").join(","))).toBe("10.0.0.2");
});

test("what is no proxy's address or range is refused", () => {
  expect(() => clientAddressBehind(["10.0.0.0/33"])).toThrow(RangeError);
});

describe("a network", () => {
  test.for([
    ["203.0.113.9", "203.0.113.9"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:db8:1:3::1", "2001:db8:1:3::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["", ""],
  ] as const)("of %s is %s", ([address, network]) => {
    expect(networkOf(address)).toBe(network);
  });
});
