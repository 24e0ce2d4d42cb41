// Who calls. Without authentication, everybody is the default tenant.

import type { HandlerContext } from "@connectrpc/connect";
import { DEFAULT_TENANT } from "../../../lib/core/names.ts";
import type { Caller } from "../submission/submitter.ts";

/** The tenant on whose behalf a call is made. */
export function tenantOf(_context: HandlerContext): string {
  return DEFAULT_TENANT;
}

/** The tenant and the trace of a call. */
export function callerOf(context: HandlerContext): Caller {
  const traceparent = context.requestHeader.get("traceparent");
  const tracestate = context.requestHeader.get("tracestate");
  const trace = traceparent === null ? {} : { traceparent, ...(tracestate === null ? {} : { tracestate }) };
  return { tenant: tenantOf(context), trace };
}
