// Tells the audit log of calls: of those that are allowed before they begin, of those that are refused why. Which calls need which action is
// the gate's table; what is recorded, and what waits, is the log's business.

import type { DescMethod, Message } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { ContextValues, Interceptor } from "@connectrpc/connect";
import { trace } from "@opentelemetry/api";
import type { Action } from "../../../lib/core/access/action.ts";
import type { Principal } from "../../../lib/core/access/principal.ts";
import { waitsForAudit } from "../../../lib/core/audit/level.ts";
import type { MeshError, MeshErrorReason } from "../../../lib/core/mesh-error.ts";
import type { Decision } from "../access/gate.ts";
import { principalIn } from "../access/principal-values.ts";
import type { InterceptedCall } from "../interceptors/mesh-errors.ts";
import { accessOf } from "../access/rpc-access.ts";
import { clientAddressIn } from "../limits/client-address.ts";
import type { AuditEvent, AuditLog } from "./audit-log.ts";

/** What of a call the audit log can be told. */
export interface AuditableCall {
  readonly method: DescMethod;
  readonly header: Headers;
  readonly values: ContextValues;
}

/** Fields that name what a call is about, and what that is. The first that a request has counts. */
const RESOURCES: readonly (readonly [field: string, type: string])[] = [
  ["taskId", "mycel.v1.Task"],
  ["agentId", "mycel.v1.Agent"],
  ["keyId", "mycel.v1.ApiKey"],
  ["deliveryId", "mycel.v1.WebhookDelivery"],
  ["endpointId", "mycel.v1.WebhookEndpoint"],
  ["queue", "mycel.v1.Queue"],
  ["blobId", "mycel.v1.Blob"],
];

/** Errors that say that somebody may not do what it asked for. */
const REFUSALS: ReadonlySet<MeshErrorReason> = new Set([
  "CREDENTIAL_MISSING",
  "CREDENTIAL_INVALID",
  "ACTION_NOT_ALLOWED",
  "AGENT_ID_TAKEN",
  "AGENT_REVOKED",
  "RATE_LIMITED",
]);

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-/;

/** Records allowed calls before they begin; what changes the mesh waits for its entry. Calls that are not recorded pass straight through. */
export function auditedCalls(audit: AuditLog): Interceptor {
  const rules = new Map<DescMethod, Action | undefined>();
  const ruleOf = (method: DescMethod): Action | undefined => {
    if (!rules.has(method)) rules.set(method, auditedAction(audit, method));
    return rules.get(method);
  };
  return (next) => {
    const recorded = async (action: Action, request: InterceptedCall): ReturnType<typeof next> => {
      const call = { method: request.method, header: request.header, values: request.contextValues };
      const resource = request.stream ? undefined : resourceOf(request.method, request.message);
      const looks = onlyLooks(request.method);
      const event = eventOf(call, principalIn(request.contextValues), { action, looks, resource });
      // Whoever can keep the log from being written must not thereby keep what was stolen from being taken away.
      if (takesAway(request.method)) audit.note(event);
      else await audit.record(event);
      return await next(request);
    };
    return (request) => {
      const action = ruleOf(request.method);
      return action === undefined ? next(request) : recorded(action, request);
    };
  };
}

/** Notes an error if it says that somebody may not do what it asked for. */
export function noteRefusal(
  audit: Pick<AuditLog, "note">,
  call: AuditableCall,
  principal: Principal | undefined,
  error: MeshError,
): void {
  if (!REFUSALS.has(error.reason)) return;
  // What callers are not told: refusals look alike to them.
  const why = error.cause instanceof Error ? `: ${error.cause.message}` : "";
  const [action] = actionsOf(call.method);
  audit.note(eventOf(call, principal, { action, refusal: `${error.reason}${why}` }));
}

/** Has the gate's refusals noted: give it to the gate. What is let in is recorded as it begins. */
export function auditedDecisions(audit: Pick<AuditLog, "note">): (decision: Decision) => void {
  return ({ call: { method, requestHeader: header, values }, principal, refusal }) => {
    if (refusal !== undefined) noteRefusal(audit, { method, header, values }, principal, refusal);
  };
}

/** The action that stands in the entries of a method; undefined if its calls are not recorded. Of several, one that has to wait goes first. */
function auditedAction(audit: AuditLog, method: DescMethod): Action | undefined {
  const actions = actionsOf(method).filter((action) => audit.wants(action, onlyLooks(method)));
  return actions.find(waitsForAudit) ?? actions[0];
}

function takesAway({ name }: DescMethod): boolean {
  return name.startsWith("Revoke");
}

function onlyLooks({ idempotency }: DescMethod): boolean {
  return idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
}

function actionsOf(method: DescMethod): readonly Action[] {
  const access = accessOf(method);
  return access?.who === "allowed" ? access.actions : [];
}

function eventOf(
  { method, header, values }: AuditableCall,
  principal: Principal | undefined,
  decided: Pick<AuditEvent, "action" | "looks" | "resource" | "refusal">,
): AuditEvent {
  return {
    ...decided,
    principal,
    peer: clientAddressIn(values),
    method: `${method.parent.typeName}/${method.name}`,
    traceId: trace.getActiveSpan()?.spanContext().traceId ?? TRACEPARENT.exec(header.get("traceparent") ?? "")?.[1],
    requestId: header.get("x-request-id") ?? undefined,
  };
}

function resourceOf({ input }: DescMethod, message: Message): AuditEvent["resource"] {
  const [field, type] = RESOURCES.find(([name]) => Object.hasOwn(input.field, name)) ?? [];
  const name: unknown = field === undefined ? undefined : Reflect.get(message, field);
  return type === undefined || typeof name !== "string" || name === "" ? undefined : { type, name };
}
