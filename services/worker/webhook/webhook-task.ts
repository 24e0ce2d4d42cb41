// The `webhook` task as the mesh meets it: one request, and what its response means for the attempt.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { WebhookInputSchema, WebhookOutputSchema } from "../../../gen/mycel/tasks/v1/webhook_pb.ts";
import { MAX_WAIT_MS } from "../../../lib/core/limits.ts";
import { OutboundError } from "../../../lib/outbound/outbound-error.ts";
import type { Outbound, OutboundResponse } from "../../../lib/outbound/outbound.ts";
import { readRetryAfter } from "../../../lib/outbound/retry-after.ts";
import {
  type Capability,
  type Outcome,
  RetryableError,
  retryAfter,
  TerminalError,
  typedCapability,
} from "../../../sdk/agent/index.ts";
import { timingsMessage } from "../exchange-messages.ts";
import { beginningOf, contentOf, type ResponseBody } from "./response-content.ts";
import { checkWebhook, isExpected, webhookRequest } from "./webhook-request.ts";

/** Most characters of an unexpected response that its failure quotes. */
const MAX_QUOTED_LENGTH = 2_048;
const REASON = "UNEXPECTED_STATUS";
// The receiver says that the same request may be taken later: it was slow, too early, or there were too many.
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);

/** Makes an HTTP request through `outbound`. */
export function webhookTask(outbound: Outbound): Capability {
  return typedCapability({
    description: "Makes an HTTP request: { url, method?, headers?, json? | text? | bytes?, expectedStatuses?, … }.",
    input: WebhookInputSchema,
    output: WebhookOutputSchema,
    check: checkWebhook,
    async run({ input, taskId }, { signal }) {
      const response = await sent(outbound, { ...webhookRequest(input, taskId), signal });
      return isExpected(input, response.status) ? outputOf(response) : unexpected(response);
    },
  });
}

async function sent(outbound: Outbound, request: Parameters<Outbound["request"]>[0]): Promise<OutboundResponse> {
  try {
    return await outbound.request(request);
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    // No stack trace: it is the world outside that failed.
    const options = { reason: error.code, details: "", cause: error };
    throw error.retryable ? new RetryableError(error.message, options) : new TerminalError(error.message, options);
  }
}

function outputOf(response: OutboundResponse): MessageInitShape<typeof WebhookOutputSchema> {
  const { status, headers, body, truncated, url, redirects, facts, totalMs } = response;
  return {
    status,
    headers,
    body: contentOf(bodyOf(response)),
    bodyBytes: body.length,
    truncated,
    url,
    redirects: [...redirects],
    address: facts.address ?? "",
    timings: timingsMessage(facts, totalMs),
  };
}

function unexpected(response: OutboundResponse): Outcome {
  const { status, headers, url } = response;
  const message = `${new URL(url).origin} answered ${status}`;
  const details = beginningOf(bodyOf(response), MAX_QUOTED_LENGTH);
  if (status < 500 && !PASSING_STATUSES.has(status)) throw new TerminalError(message, { reason: REASON, details });
  const delayMs = readRetryAfter(headers["retry-after"], Date.now());
  if (delayMs === undefined) throw new RetryableError(message, { reason: REASON, details });
  return retryAfter(Math.min(delayMs, MAX_WAIT_MS), message, { reason: REASON, details });
}

function bodyOf({ body, truncated, headers }: OutboundResponse): ResponseBody {
  return { bytes: body, truncated, contentType: headers["content-type"] };
}
