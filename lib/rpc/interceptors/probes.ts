// Plain HTTP probes for load balancers and orchestrators that do not speak gRPC: GET /healthz and GET /readyz.
// It must not decide readiness; a callback does.
import { respondText } from "../http-handler.ts";
import type { HttpHandler, HttpResponse } from "../http-handler.ts";

/** Whether the server can do its work now; the reason is shown to whoever asks, so it must hold no secret. */
export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: string };

/** Options of {@link withProbes}. */
export interface ProbeOptions {
  /** Asked at each GET /readyz. A throw, or no answer within `readyTimeoutMs`, counts as not ready. */
  readonly ready: () => Readiness | Promise<Readiness>;
  /** How long `ready` may take, 1 to 60,000; default 2000, below the usual patience of a prober. */
  readonly readyTimeoutMs?: number;
}

const DEFAULT_READY_TIMEOUT_MS = 2000;

/**
 * Wraps a handler. `/healthz` answers 200 as long as the process answers at all; `/readyz` answers 200 or 503. Both
 * take GET and HEAD; everything else goes to the handler.
 *
 * @throws RangeError when `readyTimeoutMs` is out of range.
 */
export function withProbes(handler: HttpHandler, options: ProbeOptions): HttpHandler {
  const readyTimeoutMs = options.readyTimeoutMs ?? DEFAULT_READY_TIMEOUT_MS;
  if (!(readyTimeoutMs >= 1 && readyTimeoutMs <= 60_000)) {
    throw new RangeError(`readyTimeoutMs must be from 1 to 60000, got ${readyTimeoutMs}`);
  }
  return (request, response) => {
    const path = request.url?.split("?", 1)[0];
    if (path !== "/healthz" && path !== "/readyz") {
      handler(request, response);
    } else if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      respondText(response, 405, "only GET and HEAD");
    } else if (path === "/healthz") {
      respondText(response, 200, "ok");
    } else {
      void answerReady(response, options.ready, readyTimeoutMs);
    }
  };
}

async function answerReady(response: HttpResponse, ready: ProbeOptions["ready"], timeoutMs: number): Promise<void> {
  const readiness = await askReady(ready, timeoutMs);
  if (!response.headersSent && !response.destroyed) {
    respondText(response, readiness.ready ? 200 : 503, readiness.ready ? "ready" : `not ready: ${readiness.reason}`);
  }
}

async function askReady(ready: ProbeOptions["ready"], timeoutMs: number): Promise<Readiness> {
  const { promise: late, resolve } = Promise.withResolvers<Readiness>();
  const timer = setTimeout(() => resolve({ ready: false, reason: `no answer within ${timeoutMs} ms` }), timeoutMs);
  try {
    return await Promise.race([ready(), late]);
  } catch {
    return { ready: false, reason: "the readiness check failed" };
  } finally {
    clearTimeout(timer);
  }
}
