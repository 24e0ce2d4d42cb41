// Owns the step from a host to the addresses that may be connected to. The addresses that it gives are the ones that it
// checked: nobody may look the name up again.
import { lookup } from "node:dns/promises";
import { type Address, readAddress } from "./address-kind.ts";
import type { AllowList } from "./allow-list.ts";
import type { LineLookup } from "./lookup-line.ts";
import { causeCode, OutboundError } from "./outbound-error.ts";
import type { Target } from "./target.ts";

/** Most addresses of a host that are looked at; a name may have hundreds. */
const MAX_ADDRESSES = 64;

/** Finds the addresses of a host name, as text, best first. Rejects with Node's system errors. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/** Asks the system, hosts file and search domains included: the answer that any other program would get. */
export const systemLookup: Lookup = async (host) => {
  const found = await lookup(host, { all: true, order: "verbatim" });
  return found.map(({ address }) => address);
};

/**
 * The addresses of `target` that may be connected to; all that it has. A host of which one address is refused is refused
 * whole: a name that mixes public and private addresses is an attack or a mistake, and to pick the good ones would make
 * the outcome depend on the order of an answer.
 *
 * Throws OutboundError ADDRESS_REFUSED, HOST_NOT_FOUND or DNS_FAILED, or the reason of the signal.
 */
export async function resolveTarget(
  target: Target,
  { allowed, lookup: find }: { readonly allowed: AllowList; readonly lookup: LineLookup },
  signal: AbortSignal,
): Promise<readonly Address[]> {
  if (target.literal !== undefined) return [checked(target.host, target.literal, allowed)];
  const texts = await found(target.host, find, signal);
  if (texts.length === 0) throw new OutboundError("HOST_NOT_FOUND", `host ${target.host} has no address`);
  return texts.slice(0, MAX_ADDRESSES).map((text) => {
    const address = readAddress(text);
    if (address !== undefined) return checked(target.host, address, allowed);
    throw new OutboundError("DNS_FAILED", `the name service gave no address for ${target.host}`);
  });
}

/** Gives `address` back if it may be connected to. Throws OutboundError ADDRESS_REFUSED. */
export function checked(host: string, address: Address, allowed: AllowList): Address {
  if (allowed.allows(host, address)) return address;
  const what = `${address.text} (${address.kind})`;
  const subject = readAddress(host) === undefined ? `host ${host} has the address ${what}, which` : `address ${what}`;
  throw new OutboundError(
    "ADDRESS_REFUSED",
    `${subject} is refused: it is not public; the operator can allow it with MYCEL_OUTBOUND_ALLOW`,
  );
}

async function found(host: string, find: LineLookup, signal: AbortSignal): Promise<readonly string[]> {
  try {
    return await find(host, signal);
  } catch (error) {
    signal.throwIfAborted();
    const code = causeCode(error);
    if (code === "ENOTFOUND" || code === "ENODATA") {
      throw new OutboundError("HOST_NOT_FOUND", `host ${host} was not found`, { cause: error });
    }
    throw new OutboundError("DNS_FAILED", `host ${host} could not be looked up: ${code}`, { cause: error });
  }
}
