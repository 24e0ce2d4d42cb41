// Decides where a redirect leads and what is sent there, by the rules of the Fetch standard but stricter: no way from
// https to http, and only headers without secrets leave their origin. Pure.
import { OutboundError } from "./outbound-error.ts";
import { forOtherOrigin, withoutBody } from "./request-headers.ts";
import { readUrl, type UrlTarget } from "./target.ts";

/** One request of an exchange, as it goes to one origin. */
export interface Hop {
  /** Where it goes. */
  readonly target: UrlTarget;
  /** In capitals. */
  readonly method: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Undefined for none. */
  readonly body: string | Uint8Array | undefined;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * The request that `status` and `location` ask for after `hop`; undefined when they are no redirect.
 *
 * Throws OutboundError REDIRECT_REFUSED for one that leads from https to http or to a URL that is not allowed.
 */
export function nextHop(hop: Hop, status: number, location: string | undefined): Hop | undefined {
  if (!REDIRECTS.has(status) || location === undefined) return undefined;
  const target = readLocation(location, hop.target.url);
  if (hop.target.secure && !target.secure) {
    throw new OutboundError("REDIRECT_REFUSED", `the redirect of ${hop.target.url.origin} leads from https to http`);
  }
  const becomesGet =
    (status === 303 && hop.method !== "GET" && hop.method !== "HEAD") ||
    ((status === 301 || status === 302) && hop.method === "POST");
  const kept = target.url.origin === hop.target.url.origin ? hop.headers : forOtherOrigin(hop.headers);
  return {
    target,
    method: becomesGet ? "GET" : hop.method,
    headers: becomesGet ? withoutBody(kept) : kept,
    body: becomesGet ? undefined : hop.body,
  };
}

function readLocation(location: string, base: URL): UrlTarget {
  try {
    return readUrl(location, base);
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    const message = `the redirect of ${base.origin} leads to no URL that may be followed`;
    throw new OutboundError("REDIRECT_REFUSED", message, { cause: error });
  }
}
