// The HTTP/2 connection of a client, as connect-node manages it, and what connect-node and Node leave undone when a call is left early.
import { AsyncLocalStorage } from "node:async_hooks";
import { constants, type ClientHttp2Stream, type ClientSessionOptions } from "node:http2";
import type { Interceptor } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import type { ClientTls } from "../tls/client-tls.ts";

/** What a call runs on. */
interface Held {
  stream?: ClientHttp2Stream;
}

const call = new AsyncLocalStorage<Held>();

/** Manages one connection, and tells {@link letGo} which of its streams a call runs on. */
export class ClientSession extends Http2SessionManager {
  override async request(...args: Parameters<Http2SessionManager["request"]>): Promise<ClientHttp2Stream> {
    const held = call.getStore();
    const stream = await super.request(...args);
    if (held !== undefined) held.stream = stream;
    return stream;
  }
}

/** What a session to a URL needs to speak TLS as it should; nothing for a URL in cleartext. */
export function securityOf(url: string, tls: ClientTls | undefined): Pick<ClientSessionOptions, "createConnection"> {
  const parsed = new URL(url);
  return tls === undefined || parsed.protocol !== "https:" ? {} : { createConnection: () => tls.dial(parsed, ["h2"]) };
}

/**
 * Lets go of the stream of a call that is left early: by leaving the loop over its messages, or by its signal. A stream with data that
 * nobody reads is never done with in Node: it stays for as long as its connection, and the connection for as long as it, even when the
 * server has closed it. And connect-node does not tell the server when a loop is left.
 */
export const letGo: Interceptor = (next) => async (request) => {
  const held: Held = {};
  // After connect-node, which resets the stream with the code that tells the server why.
  request.signal.addEventListener("abort", () => setImmediate(() => held.stream?.destroy()), { once: true });
  const response = await call.run(held, () => next(request));
  return response.stream ? { ...response, message: leavable(response.message, held) } : response;
};

async function* leavable<T>(messages: AsyncIterable<T>, held: Held): AsyncGenerator<T> {
  let read = false;
  try {
    yield* messages;
    read = true;
  } finally {
    if (!read && held.stream?.destroyed === false) {
      if (!held.stream.closed) held.stream.close(constants.NGHTTP2_CANCEL);
      held.stream.destroy();
    }
  }
}
