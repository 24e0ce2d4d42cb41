// Who calls. Without authentication, everybody is the default tenant.

import type { HandlerContext } from "@connectrpc/connect";
import { DEFAULT_TENANT } from "../../../lib/core/names.ts";
import type { Caller } from "../submission/submitter.ts";

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{1,64})?$/;
const TRACESTATE = /^[ -~]{1,512}$/;

/** The tenant on whose behalf a call is made. */
export function tenantOf(_context: HandlerContext): string {
  return DEFAULT_TENANT;
}

/** The tenant and the trace of a call. */
export function callerOf(context: HandlerContext): Caller {
  const traceparent = context.requestHeader.get("traceparent");
  const tracestate = context.requestHeader.get("tracestate");
  // What is no trace context is none, as W3C has it: else anything could be told to every reader as the task's trace id.
  if (traceparent === null || !TRACEPARENT.test(traceparent)) return { tenant: tenantOf(context), trace: {} };
  const state = tracestate === null || !TRACESTATE.test(tracestate) ? {} : { tracestate };
  return { tenant: tenantOf(context), trace: { traceparent, ...state } };
}
