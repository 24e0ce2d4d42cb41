// Answers only requests that are meant for this server by a name that it goes by. Where nobody has to say who they are, a web page could
// else have its own name resolve to this machine, and be of the same origin as this server (DNS rebinding). Decides nothing about callers.
import { isIP } from "node:net";
import { respondText } from "../http-handler.ts";
import type { HttpHandler, HttpRequest } from "../http-handler.ts";

/**
 * Wraps a handler. Requests for IP addresses, for `localhost` and the names below it, and for `hosts` pass; others get 421 (RFC 9110
 * section 15.5.20), before the handler runs. Names are compared without regard to case, ports not at all.
 */
export function withKnownHosts(handler: HttpHandler, hosts: readonly string[]): HttpHandler {
  const known = new Set(hosts.map((host) => host.toLowerCase()));
  return (request, response) => {
    const host = hostOf(request);
    // Without a usable host there is nothing to mistake; the listener says so itself.
    if (host === undefined || isOfThisMachine(host) || known.has(host)) handler(request, response);
    else respondText(response, 421, "this server does not go by that name: see coordinator.hosts (MYCEL_HOSTS)");
  };
}

function hostOf(request: HttpRequest): string | undefined {
  const authority: string | undefined = "authority" in request ? request.authority : request.headers.host;
  const url = authority === undefined ? null : URL.parse(`http://${authority}`);
  return url?.hostname.replace(/^\[|\]$|\.$/g, "");
}

function isOfThisMachine(host: string): boolean {
  return isIP(host) !== 0 || host === "localhost" || host.endsWith(".localhost");
}
