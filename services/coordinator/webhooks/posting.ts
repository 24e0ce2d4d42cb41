// Posts one webhook, once: signed, bounded in time and in what is read of the answer, to public addresses or what the operator allows.

import { create } from "@bufbuild/protobuf";
import { type Attributes, context, SpanKind } from "@opentelemetry/api";
import { type WebhookAttempt, WebhookAttemptSchema } from "../../../gen/mycel/v1/webhook_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { isDelivered, type WebhookOutcome } from "../../../lib/core/webhook-attempt.ts";
import type { Outbound } from "../../../lib/outbound/outbound.ts";
import { OutboundError } from "../../../lib/outbound/outbound-error.ts";
import { readRetryAfter } from "../../../lib/outbound/retry-after.ts";
import type { StoredEndpoint } from "../../../lib/nats/webhook-endpoints.ts";
import { startHop } from "../../../lib/wire/hop.ts";

import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { contextFromCarrier, markSpanFailed, type TraceCarrier } from "../../../lib/wire/trace-context.ts";
import { webhookHeaders } from "../../../lib/wire/webhook-signature.ts";

/** What posting needs. */
export interface PostingParts {
  readonly outbound: Pick<Outbound, "request">;
  readonly clock: Clock;
}

/** What to post. */
export interface Posting {
  readonly deliveryId: string;
  readonly eventType: string;
  /** The task, for the span. Empty for a test. */
  readonly taskId: string;
  readonly body: string;
  /** The trace to which the attempt belongs. */
  readonly trace: TraceCarrier;
}

/** What came of it. */
export interface Posted {
  readonly attempt: WebhookAttempt;
  readonly outcome: WebhookOutcome;
}

/** How long a receiver may take to answer, in milliseconds. */
export const POST_TIMEOUT_MS = 15_000;

/** How much of an answer is kept, in bytes. */
const MAX_EXCERPT_BYTES = 1_024;

const MAX_ERROR_LENGTH = 256;

/** Posts a webhook to an endpoint. Throws the signal's reason when it is aborted; what else goes wrong is the attempt's outcome. */
export async function post(
  parts: PostingParts,
  endpoint: StoredEndpoint,
  posting: Posting,
  signal: AbortSignal,
): Promise<Posted> {
  const { span, inside } = startHop(contextFromCarrier(posting.trace), () => ({
    name: "deliver webhook",
    options: { kind: SpanKind.INTERNAL, attributes: attributesOf(endpoint, posting) },
  }));
  try {
    const posted = await context.with(inside, () => exchange(parts, endpoint, posting, signal));
    const { status } = posted.outcome;
    if (span !== undefined && !isDelivered(status)) markSpanFailed(span, status === 0 ? "NO_ANSWER" : String(status));
    return posted;
  } finally {
    span?.end();
  }
}

async function exchange(
  { outbound, clock }: PostingParts,
  { endpoint, secrets }: StoredEndpoint,
  { deliveryId, body }: Posting,
  signal: AbortSignal,
): Promise<Posted> {
  const atMs = clock.now();
  const startMs = clock.monotonicMs();
  const attempt = create(WebhookAttemptSchema, { startTime: timestampFromMs(atMs) });
  let retryAfter: number | undefined;
  try {
    const {
      status,
      headers,
      body: answer,
    } = await outbound.request({
      url: endpoint.url,
      method: "POST",
      headers: webhookHeaders({ id: deliveryId, atMs, body }, secrets),
      body,
      timeoutMs: POST_TIMEOUT_MS,
      maxRedirects: 0,
      maxResponseBytes: MAX_EXCERPT_BYTES,
      oversize: "truncate",
      signal,
    });
    attempt.status = status;
    attempt.error = isDelivered(status) ? "" : faultOf(status);
    attempt.responseExcerpt = excerptOf(answer);
    retryAfter = readRetryAfter(headers["retry-after"], clock.now());
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    attempt.error = `${error.code}: ${error.message}`.slice(0, MAX_ERROR_LENGTH);
  }
  attempt.duration = durationFromMs(clock.monotonicMs() - startMs);
  return { attempt, outcome: { status: attempt.status, retryAfterMs: retryAfter } };
}

function faultOf(status: number): string {
  if (status === 410) return "the receiver answered 410: it wants no more";
  return status < 400
    ? `the receiver answered ${status}: redirects are not followed`
    : `the receiver answered ${status}`;
}

/** As text, whatever it is; what is cut within a character loses it, so that the text never outgrows its bytes. */
function excerptOf(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes.subarray(0, MAX_EXCERPT_BYTES)).replaceAll("\u{fffd}", "?");
  return text.replaceAll("\u0000", "");
}

function attributesOf({ endpoint }: StoredEndpoint, { deliveryId, eventType, taskId }: Posting): Attributes {
  return {
    "mycel.webhook.endpoint_id": endpoint.endpointId,
    "mycel.webhook.event_type": eventType,
    "messaging.message.id": deliveryId,
    ...(taskId === "" ? {} : { "messaging.message.conversation_id": taskId }),
  };
}
