// The input of a `webhook` task: what is wrong with it, and the request that it asks for. Pure.
import { type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { WebhookInputSchema } from "../../../gen/mycel/tasks/v1/webhook_pb.ts";
import { MAX_REDIRECTS, MAX_TIMEOUT_MS, METHODS, type OutboundRequest } from "../../../lib/outbound/outbound.ts";
import type { FieldViolation } from "../../../sdk/agent/index.ts";
import { checkHeaders, checkStatuses, checkUrl } from "../http-input.ts";
import { InputViolations } from "../input-violations.ts";

/** Most bytes of a response that a task may ask for. */
const MAX_WEBHOOK_RESPONSE_BYTES = 10_000_000;
const DEFAULT_RESPONSE_BYTES = 1_048_576;
const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_METHOD = "POST";

type WebhookInput = MessageShape<typeof WebhookInputSchema>;

/** What is wrong with the input of a `webhook` task. */
export function checkWebhook(input: WebhookInput): readonly FieldViolation[] {
  const violations = new InputViolations();
  if (violations.required("url", input.url)) checkUrl(violations, "url", input.url);
  violations.oneOf("method", input.method === "" ? undefined : input.method, METHODS);
  checkHeaders(violations, "headers", input.headers);
  if ((input.method === "GET" || input.method === "HEAD") && input.body.case !== undefined) {
    violations.add(input.body.case, `must be left out: a ${input.method} request has no body`);
  }
  if (input.body.case === "json" && !hasJson(input.body.value)) violations.add("json", "must be a JSON value");
  violations.wholeNumber("timeoutMs", input.timeoutMs, 1, MAX_TIMEOUT_MS);
  violations.wholeNumber("maxResponseBytes", input.maxResponseBytes, 0, MAX_WEBHOOK_RESPONSE_BYTES);
  violations.wholeNumber("maxRedirects", input.maxRedirects, 0, MAX_REDIRECTS);
  checkStatuses(violations, "expectedStatuses", input.expectedStatuses);
  return violations.found;
}

/** The request of the task `taskId`. */
export function webhookRequest(input: WebhookInput, taskId: string): OutboundRequest {
  const body = bodyOf(input.body);
  // What the user gives comes last and stands, however the name is written.
  const names = new Set(Object.keys(input.headers).map((name) => name.toLowerCase()));
  const headers: Record<string, string> = { "idempotency-key": taskId };
  if (body !== undefined) headers["content-type"] = body.contentType;
  const own = Object.entries(headers).filter(([name]) => !names.has(name));
  return {
    url: input.url,
    method: input.method === "" ? DEFAULT_METHOD : input.method,
    headers: Object.fromEntries([...own, ...Object.entries(input.headers)]),
    ...(body === undefined ? {} : { body: body.content }),
    timeoutMs: input.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    maxRedirects: input.maxRedirects ?? 0,
    maxResponseBytes: input.maxResponseBytes ?? DEFAULT_RESPONSE_BYTES,
    oversize: input.truncate ? "truncate" : "fail",
  };
}

/** Whether a response of `status` is what the input expects. */
export function isExpected({ expectedStatuses }: WebhookInput, status: number): boolean {
  return expectedStatuses.length === 0 ? status >= 200 && status <= 299 : expectedStatuses.includes(status);
}

/** As binary Protobuf there are values that have no JSON: NaN, infinities, and none at all. */
function hasJson(value: Value): boolean {
  try {
    toJson(ValueSchema, value);
    return true;
  } catch {
    return false;
  }
}

function bodyOf(
  body: WebhookInput["body"],
): { readonly content: string | Uint8Array; readonly contentType: string } | undefined {
  switch (body.case) {
    case "json": {
      const value: JsonValue = toJson(ValueSchema, body.value);
      return { content: JSON.stringify(value), contentType: "application/json" };
    }
    case "text":
      return { content: body.value, contentType: "text/plain; charset=utf-8" };
    case "bytes":
      return { content: body.value, contentType: "application/octet-stream" };
    default:
      return undefined;
  }
}
