// Who calls, as the gate found out.

import type { HandlerContext } from "@connectrpc/connect";
import type { Action } from "../../../lib/core/access/action.ts";
import type { Principal } from "../../../lib/core/access/principal.ts";
import { type TaskScope, taskScopeOf } from "../../../lib/core/access/task-scope.ts";
import { principalIn } from "../access/principal-values.ts";
import { credentialMissing } from "../access/refusals.ts";
import type { Caller } from "../submission/submitter.ts";

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{1,64})?$/;
const TRACESTATE = /^[ -~]{1,512}$/;

/** Who makes a call. Throws CREDENTIAL_MISSING for a call that passed no gate: what nobody let in is nobody's. */
export function principalOf({ values }: Pick<HandlerContext, "values">): Principal {
  const principal = principalIn(values);
  if (principal === undefined) throw credentialMissing();
  return principal;
}

/** The tenant on whose behalf a call is made. Throws as {@link principalOf} does. */
export function tenantOf(context: Pick<HandlerContext, "values">): string {
  return principalOf(context).tenant;
}

/** The tasks with which whoever makes a call may do something; undefined if with all. Throws as {@link principalOf} does. */
export function scopeOf(context: Pick<HandlerContext, "values">, action: Action): TaskScope | undefined {
  return taskScopeOf(principalOf(context), action);
}

/** On whose behalf a call submits tasks, which, and in which trace. */
export function callerOf(context: HandlerContext): Caller {
  const traceparent = context.requestHeader.get("traceparent");
  const tracestate = context.requestHeader.get("tracestate");
  const { tenant } = principalOf(context);
  const scope = scopeOf(context, "task:submit");
  // What is no trace context is none, as W3C has it: else anything could be told to every reader as the task's trace id.
  if (traceparent === null || !TRACEPARENT.test(traceparent)) return { tenant, scope, trace: {} };
  const state = tracestate === null || !TRACESTATE.test(tracestate) ? {} : { tracestate };
  return { tenant, scope, trace: { traceparent, ...state } };
}
