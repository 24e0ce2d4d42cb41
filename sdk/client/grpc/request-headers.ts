// The headers of requests: as Node sends them, and as interceptors see them when one looks.
import type { OutgoingHttpHeaders } from "node:http2";
import type { Transport } from "@connectrpc/connect";
import { requestHeaderWithCompression } from "@connectrpc/connect/protocol-grpc";
import { ACCEPTED_COMPRESSIONS } from "./answer-head.ts";

/** Headers that a call was given of its own. */
export type OwnHeaders = Parameters<Transport["unary"]>[3];

/** The headers of one request. */
export interface RequestHeaders {
  /** What interceptors see and may change. */
  readonly headers: Headers;
  /** What is sent. */
  readonly outgoing: OutgoingHttpHeaders;
}

/** Makes the headers of requests, each with these headers of its client's. */
export function createRequestHeaders(
  clients: Readonly<Record<string, string>>,
): (own: OwnHeaders, timeoutMs: number | undefined) => RequestHeaders {
  const make = (own: OwnHeaders, timeoutMs: number | undefined): Headers => {
    const headers = requestHeaderWithCompression(true, timeoutMs, own, ACCEPTED_COMPRESSIONS, null);
    for (const [name, value] of Object.entries(clients)) headers.set(name, value);
    return headers;
  };
  const plain = outgoing(make(undefined, undefined));
  return (own, timeoutMs) => {
    let made = own === undefined ? undefined : make(own, timeoutMs);
    return {
      get headers() {
        return (made ??= make(own, timeoutMs));
      },
      get outgoing() {
        if (made !== undefined) return outgoing(made);
        return timeoutMs === undefined ? plain : { ...plain, "grpc-timeout": `${timeoutMs}m` };
      },
    };
  };
}

/** Headers as Node sends them. */
export function outgoing(headers: Headers): OutgoingHttpHeaders {
  return Object.fromEntries(headers);
}
