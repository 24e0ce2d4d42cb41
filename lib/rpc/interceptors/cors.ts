// CORS for browsers that speak Connect or gRPC-Web: answers preflights and marks responses, by an allow-list of
// origins. It decides which web pages may call, never which users: credentials (cookies) are never allowed.
import { cors } from "@connectrpc/connect";
import { respondText } from "../http-handler.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../http-handler.ts";

/** Options of {@link withCors}. */
export interface CorsOptions {
  /**
   * Origins whose pages may call, e.g. `https://console.example.com`. `*` means any, and holds only for connections
   * from this machine itself (development). Default none: only pages served by this port.
   */
  readonly origins: readonly string[];
  /** More request headers that pages may send. Default `authorization`, `traceparent`, `tracestate`, `x-request-id`. */
  readonly allowedHeaders?: readonly string[];
  /**
   * More response headers that pages may read. Default those that come with error details: `retry-after`,
   * `grpc-retry-pushback-ms`, `x-request-id`.
   */
  readonly exposedHeaders?: readonly string[];
  /** For how many seconds a browser may remember a preflight, 0 to 86,400; default 7200, the most that Chrome takes. */
  readonly maxAgeSeconds?: number;
}

const DEFAULT_ALLOWED_HEADERS = ["authorization", "traceparent", "tracestate", "x-request-id"];
const DEFAULT_EXPOSED_HEADERS = ["retry-after", "grpc-retry-pushback-ms", "x-request-id"];
const DEFAULT_MAX_AGE_SECONDS = 7200;

/**
 * Wraps a handler. A page of another origin gets 403, before the handler runs; requests without an `origin` header
 * (everything that is not a browser) pass untouched.
 *
 * @throws RangeError when an origin or `maxAgeSeconds` is malformed.
 */
export function withCors(handler: HttpHandler, options: CorsOptions): HttpHandler {
  const origins = new Set(options.origins);
  for (const origin of origins) {
    if (origin !== "*" && !(URL.canParse(origin) && new URL(origin).origin === origin)) {
      throw new RangeError(`origins must be "*" or like https://example.com without a path, got "${origin}"`);
    }
  }
  const maxAgeSeconds = options.maxAgeSeconds ?? DEFAULT_MAX_AGE_SECONDS;
  if (!Number.isInteger(maxAgeSeconds) || maxAgeSeconds < 0 || maxAgeSeconds > 86_400) {
    throw new RangeError(`maxAgeSeconds must be a whole number from 0 to 86400, got ${maxAgeSeconds}`);
  }
  const allowedMethods = cors.allowedMethods.join(", ");
  const allowedHeaders = [...cors.allowedHeaders, ...(options.allowedHeaders ?? DEFAULT_ALLOWED_HEADERS)].join(", ");
  const exposedHeaders = [...cors.exposedHeaders, ...(options.exposedHeaders ?? DEFAULT_EXPOSED_HEADERS)].join(", ");

  const isAllowed = (origin: string, request: HttpRequest): boolean =>
    origins.has(origin) || isSameOrigin(origin, request) || (origins.has("*") && isFromThisMachine(request));

  const answerPreflight = (response: HttpResponse): void => {
    response.setHeader("access-control-allow-methods", allowedMethods);
    response.setHeader("access-control-allow-headers", allowedHeaders);
    response.setHeader("access-control-max-age", String(maxAgeSeconds));
    response.writeHead(204);
    response.end();
  };

  return (request, response) => {
    const { origin } = request.headers;
    if (origin === undefined) {
      handler(request, response);
      return;
    }
    response.setHeader("vary", "origin");
    if (!isAllowed(origin, request)) {
      respondText(response, 403, "pages of this origin may not call this server");
      return;
    }
    response.setHeader("access-control-allow-origin", origin);
    if (request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined) {
      answerPreflight(response);
      return;
    }
    response.setHeader("access-control-expose-headers", exposedHeaders);
    handler(request, response);
  };
}

function isSameOrigin(origin: string, request: HttpRequest): boolean {
  const authority = "authority" in request ? request.authority : request.headers.host;
  return origin === `http://${authority}` || origin === `https://${authority}`;
}

function isFromThisMachine(request: HttpRequest): boolean {
  const address = request.socket.remoteAddress ?? "";
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}
