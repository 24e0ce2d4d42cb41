// Keeps the messages of gRPC errors readable for every client: the trailer grpc-message as the gRPC specification spells it.
// It must not change what a message says.
import type { OutgoingHttpHeaders } from "node:http";
import type { HttpHandler } from "../http-handler.ts";

const TRAILER = "grpc-message";

/**
 * Wraps a handler. Connect escapes more of `grpc-message` than the specification asks for (`:` and `,` among others), and clients
 * that decode it as a URI, grpc-js among them, leave those escaped; only what the specification names is escaped here.
 */
export function withReadableMessages(handler: HttpHandler): HttpHandler {
  return (request, response) => {
    const addTrailers: (trailers: OutgoingHttpHeaders) => void = response.addTrailers.bind(response);
    response.addTrailers = (trailers: OutgoingHttpHeaders): void => {
      const message = trailers[TRAILER];
      addTrailers(typeof message === "string" ? { ...trailers, [TRAILER]: respell(message) } : trailers);
    };
    handler(request, response);
  };
}

/** Escapes what is not printable ASCII, and the percent sign, in UTF-8; and blanks at the ends, which HTTP would cut off. */
export function spellMessage(message: string): string {
  return message.replaceAll(/[^\x20-\x24\x26-\x7e]+|^ +| +$/gu, encodeURIComponent);
}

function respell(escaped: string): string {
  const message = decoded(escaped);
  return message === undefined ? escaped : spellMessage(message);
}

function decoded(escaped: string): string | undefined {
  try {
    return decodeURIComponent(escaped);
  } catch {
    return undefined;
  }
}
