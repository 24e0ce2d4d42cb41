// Which addresses a list lets in.
import { expect, test } from "vitest";
import { readPeerAllowList } from "../../../lib/rpc/listener/peer-allow-list.ts";

test.for([
  [
    ["10.0.0.0/8"],
    ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203"],
    ["11.0.0.1", "::a01:203", "fd00::1", "", "nobody"],
  ],
  [["192.0.2.7"], ["192.0.2.7"], ["192.0.2.8"]],
  [
    ["fd00::/8", "::1"],
    ["fd12::1", "::1"],
    ["fe80::1", "127.0.0.1", "10.0.0.1"],
  ],
  [["::ffff:10.0.0.0/104"], ["10.200.0.1", "::ffff:10.0.0.1"], ["11.0.0.1"]],
  [["0.0.0.0/0"], ["1.2.3.4"], ["::1"]],
  [[], ["1.2.3.4", "::1", ""], []],
] as const)("%j", ([entries, inside, outside]) => {
  const allows = readPeerAllowList(entries);
  expect(inside.filter((address) => !allows(address))).toEqual([]);
  expect(outside.filter((address) => allows(address))).toEqual([]);
});

test.for(["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "10.1", "host", "::/129", "::ffff:0:0/90"])(
  "%j is refused",
  (entry) => {
    expect(() => readPeerAllowList([entry])).toThrow(
      new RangeError(`${JSON.stringify(entry)} is neither an IP address nor a range such as 10.0.0.0/8`),
    );
  },
);
