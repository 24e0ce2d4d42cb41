// Which address a call comes from: the connection's, or, behind proxies that the operator trusts, what they say. And whose that is: of IPv6,
// everybody has as many addresses as there are, so that a network counts as one.

import { type ContextKey, type ContextValues, createContextKey } from "@connectrpc/connect";
import ipaddr from "ipaddr.js";
import type { CallGate } from "../../../lib/rpc/call-gate.ts";
import { peerOf } from "../../../lib/rpc/peer.ts";
import { type PeerAllowList, readPeerAllowList } from "../../../lib/rpc/listener/peer-allow-list.ts";

/** The most addresses of a header that are looked at: nobody stands behind more proxies. */
const MAX_HOPS = 16;

const CLIENT: ContextKey<string | undefined> = createContextKey<string | undefined>(undefined, {
  description: "the address that a trusted proxy names",
});

/** The address that a call comes from: as a trusted proxy says, or else the connection's. */
export function clientAddressIn(values: ContextValues): string {
  return values.get(CLIENT) ?? peerOf(values).address;
}

/** The same gate, behind which calls have the address that trusted proxies name. The gate itself where there are none. */
export function behindProxies(gate: CallGate | undefined, proxies: readonly string[]): CallGate | undefined {
  if (proxies.length === 0) return gate;
  const addressOf = clientAddressBehind(proxies);
  return (call) => {
    call.values.set(CLIENT, addressOf(peerOf(call.values).address, call.requestHeader.get("x-forwarded-for")));
    return gate?.(call);
  };
}

/** Tells the address of a call by the connection's and its header `x-forwarded-for`. */
export type ClientAddress = (connection: string, forwardedFor: string | null) => string;

/**
 * Reads addresses and ranges of proxies whose word is taken. From the last hop on, the first that is none of them is the client: whatever
 * stands before it, the client may have made up.
 *
 * @throws RangeError for an entry that is neither.
 */
export function clientAddressBehind(proxies: readonly string[]): ClientAddress {
  const isProxy: PeerAllowList = readPeerAllowList(proxies);
  return (connection, forwardedFor) => {
    let address = connection;
    const hops = forwardedFor?.split(",").slice(-MAX_HOPS).toReversed() ?? [];
    for (const hop of hops) {
      if (!isProxy(address)) return address;
      const named = addressIn(hop.trim());
      // A proxy that says something else than an address is believed nothing more.
      if (named === undefined) return address;
      address = named;
    }
    return address;
  };
}

/** What counts as one client: an IPv4 address, or the /64 network of an IPv6 address. */
export function networkOf(address: string): string {
  if (!address.includes(":") || !ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (!("parts" in parsed)) return parsed.toString();
  return `${parsed.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(":")}::/64`;
}

/** An address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`. */
function addressIn(hop: string): string | undefined {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
  const known = ipaddr.IPv4.isValidFourPartDecimal(bare) || ipaddr.IPv6.isValid(bare);
  return known ? ipaddr.process(bare).toString() : undefined;
}
