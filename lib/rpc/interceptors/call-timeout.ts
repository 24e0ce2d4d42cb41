// Keeps deadlines that lie beyond what a timer can count from ending calls at once. It must not touch any other.
import type { HttpHandler } from "../http-handler.ts";

/** The longest a timer of Node waits: 24.8 days. With more it fires at once. */
export const MAX_TIMER_MS: number = 2_147_483_647;

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };

/** Wraps a handler: a call whose deadline is further away than {@link MAX_TIMER_MS} has none. */
export function withLongTimeouts(handler: HttpHandler): HttpHandler {
  return (request, response) => {
    const { headers } = request;
    if (msOfGrpc(headers["grpc-timeout"]) > MAX_TIMER_MS) delete headers["grpc-timeout"];
    if (msOfConnect(headers["connect-timeout-ms"]) > MAX_TIMER_MS) delete headers["connect-timeout-ms"];
    handler(request, response);
  };
}

/** What is malformed is left to the protocol to refuse. */
function msOfGrpc(text: string | string[] | undefined): number {
  const match = typeof text === "string" ? /^(\d{1,8})([HMSmun])$/.exec(text) : null;
  return match === null ? 0 : Number(match[1]) * (UNIT_MS[match[2] ?? ""] ?? 0);
}

function msOfConnect(text: string | string[] | undefined): number {
  return typeof text === "string" && /^\d{1,10}$/.test(text) ? Number(text) : 0;
}
