// The one shape of an HTTP handler that serves HTTP/1.1 and HTTP/2 alike: what connectNodeAdapter() returns.
// Wrappers (CORS, probes) take and return it; this module holds no behaviour.
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { connectNodeAdapter } from "@connectrpc/connect-node";

/** Answers one HTTP request, whatever its HTTP version. Must not throw; a throw is answered with 500. */
export type HttpHandler = ReturnType<typeof connectNodeAdapter>;

/** A request of either HTTP version. */
export type HttpRequest = Parameters<HttpHandler>[0];

/** A response of either HTTP version. */
export type HttpResponse = Parameters<HttpHandler>[1];

/** Answers a request right on its HTTP/2 stream, or says that it does not, and then has not touched it. Must not throw. */
export type DirectHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => boolean;

/** Answers with a short plain-text body that no cache may keep. */
export function respondText(response: HttpResponse, status: number, text: string): void {
  response.writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
  });
  response.end(text);
}
