// The work of a `health-check` task: one check of a target, and what its result is held against.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HealthCheckSchema } from "../../../gen/mycel/tasks/v1/health_check_pb.ts";
import { type ExchangeFacts, OutboundError } from "../../../lib/outbound/outbound-error.ts";
import type { Outbound, OutboundResponse } from "../../../lib/outbound/outbound.ts";
import { certificateMessage, roundMs, timingsMessage } from "../exchange-messages.ts";
import type { HealthCheckOrder } from "./health-check-order.ts";

/** Most bytes of a body that are read. */
const MAX_BODY_BYTES = 1_048_576;

/** What one check found. */
export type HealthCheckResult = Omit<MessageInitShape<typeof HealthCheckSchema>, "$typeName" | "$unknown"> & {
  readonly available: boolean;
};

/** Why a target does not count as available: a word and a sentence. */
type Miss = readonly [reason: string, message: string];

/**
 * Makes one check. Throws the reason of `signal`, and OutboundError ADDRESS_REFUSED: a target that may not be asked is neither
 * available nor not.
 */
export async function checkHealth(
  outbound: Outbound,
  order: HealthCheckOrder,
  { index, signal }: { readonly index: number; readonly signal: AbortSignal },
): Promise<{ readonly check: HealthCheckResult; readonly totalMs: number }> {
  const startedAt = performance.now();
  const time = timestampFromMs(Date.now());
  const seen = await look(outbound, order, signal);
  const totalMs = performance.now() - startedAt;
  const { facts, response } = seen;
  const miss = seen.miss ?? missOf(order, facts, response, totalMs);
  const check: HealthCheckResult = {
    index,
    time,
    available: miss === undefined,
    reason: miss?.[0] ?? "",
    message: miss?.[1] ?? "",
    address: facts.address ?? "",
    timings: timingsMessage(facts, totalMs),
    ...(response === undefined ? {} : { status: response.status, url: response.url }),
    ...(facts.certificate === undefined ? {} : { certificate: certificateMessage(facts.certificate) }),
  };
  return { check, totalMs };
}

interface Sight {
  readonly facts: ExchangeFacts;
  readonly response?: OutboundResponse;
  readonly miss?: Miss;
}

async function look(outbound: Outbound, order: HealthCheckOrder, signal: AbortSignal): Promise<Sight> {
  const { target, method, headers, timeoutMs, maxRedirects } = order;
  try {
    if (target.kind === "tcp") {
      return { facts: await outbound.probe({ host: target.host, port: target.port, timeoutMs, signal }) };
    }
    const response = await outbound.request({
      url: target.url,
      method,
      headers,
      timeoutMs,
      maxRedirects,
      maxResponseBytes: MAX_BODY_BYTES,
      oversize: "truncate",
      signal,
    });
    return { facts: response.facts, response };
  } catch (error) {
    if (!(error instanceof OutboundError) || error.code === "ADDRESS_REFUSED") throw error;
    return { facts: error.facts, miss: [error.code, error.message] };
  }
}

function missOf(
  { expect }: HealthCheckOrder,
  { certificate }: ExchangeFacts,
  response: OutboundResponse | undefined,
  totalMs: number,
): Miss | undefined {
  if (response !== undefined && !isGood(expect?.statuses ?? [], response.status)) {
    return ["STATUS", `the status is ${response.status}`];
  }
  const text = expect?.bodyContains ?? "";
  if (response !== undefined && text !== "" && !Buffer.from(response.body).includes(text)) {
    return ["BODY", `the body does not contain ${JSON.stringify(text)}`];
  }
  const days = expect?.minCertificateDays;
  if (days !== undefined && certificate !== undefined && certificate.daysLeft < days) {
    return ["CERTIFICATE_EXPIRES", `the certificate is valid for ${certificate.daysLeft} more days, less than ${days}`];
  }
  const limit = expect?.maxLatencyMs;
  if (limit === undefined || totalMs <= limit) return undefined;
  return ["LATENCY", `the check took ${roundMs(totalMs)} ms, longer than ${limit} ms`];
}

function isGood(statuses: readonly number[], status: number): boolean {
  return statuses.length === 0 ? status >= 200 && status <= 399 : statuses.includes(status);
}
