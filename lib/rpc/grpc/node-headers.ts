// Node's HTTP/2 headers as interceptors and callers get them: the web's, without pseudo-headers.

import type { IncomingHttpHeaders } from "node:http";

/** Makes the web's headers of Node's. */
export function headersFrom(incoming: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const name of Object.keys(incoming)) {
    if (name.startsWith(":")) continue;
    const value = incoming[name];
    if (typeof value === "string") headers.append(name, value);
    else for (const one of value ?? []) headers.append(name, one);
  }
  return headers;
}
