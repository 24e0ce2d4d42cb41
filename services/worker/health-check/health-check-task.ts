// The `health-check` task as the mesh meets it: checks at a steady pace, each streamed, and their sum as the result.
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  HealthCheckInputSchema,
  HealthCheckOutputSchema,
  HealthCheckSchema,
} from "../../../gen/mycel/tasks/v1/health_check_pb.ts";
import { OutboundError } from "../../../lib/outbound/outbound-error.ts";
import type { Outbound } from "../../../lib/outbound/outbound.ts";
import { pause } from "../../../lib/time/pause.ts";
import { type Capability, TerminalError, typedCapability } from "../../../sdk/agent/index.ts";
import { roundMs } from "../exchange-messages.ts";
import { checkHealthCheck, healthCheckOrder } from "./health-check-order.ts";
import { checkHealth } from "./health-check.ts";

/** A task without an end starts no check later than this before its attempt is out of time, so that it completes. */
const END_BEFORE_DEADLINE_MS = 1_000;
/** And it waits for none longer than until this. */
const REPORT_BEFORE_DEADLINE_MS = 500;
const TIMEOUTS: ReadonlySet<string | undefined> = new Set(["TIMEOUT", "CONNECT_TIMEOUT"]);

/** Checks whether a target answers, through `outbound`. */
export function healthCheckTask(outbound: Outbound): Capability {
  return typedCapability({
    description:
      "Checks whether a URL or tcp:HOST:PORT answers: { target, checks?, intervalMs?, timeoutMs?, expect? }.",
    input: HealthCheckInputSchema,
    chunk: HealthCheckSchema,
    output: HealthCheckOutputSchema,
    check: checkHealthCheck,
    async run({ input }, { output, progress, signal, deadline }) {
      const order = healthCheckOrder(input);
      const endless = order.checks === Number.POSITIVE_INFINITY;
      let dueMs = performance.now();
      let sumMs = 0;
      let maxMs = 0;
      let available = 0;
      let sum: MessageInitShape<typeof HealthCheckOutputSchema> | undefined;
      for (let index = 1; ; index += 1) {
        await pause(Math.max(0, dueMs - performance.now()), signal);
        signal.throwIfAborted();
        const leftMs = endless ? deadline.getTime() - REPORT_BEFORE_DEADLINE_MS - Date.now() : order.timeoutMs;
        const timeoutMs = Math.max(1, Math.min(order.timeoutMs, Math.floor(leftMs)));
        const { check, totalMs } = await refusing(() =>
          checkHealth(outbound, { ...order, timeoutMs }, { index, signal }),
        );
        // What a check would have found that was cut short, nobody knows.
        if (sum !== undefined && timeoutMs < order.timeoutMs && TIMEOUTS.has(check.reason)) return sum;
        if (check.available) {
          available += 1;
          sumMs += totalMs;
          maxMs = Math.max(maxMs, totalMs);
        }
        await output(check);
        progress(endless ? 0 : index / order.checks, `${available} of ${index} available`);
        // A check that took longer than the interval is followed by the next at once, and the pace begins anew.
        dueMs = Math.max(dueMs + order.intervalMs, performance.now());
        const outOfTime = Date.now() + (dueMs - performance.now()) > deadline.getTime() - END_BEFORE_DEADLINE_MS;
        const times = available === 0 ? {} : { averageMs: roundMs(sumMs / available), maxMs: roundMs(maxMs) };
        sum = { check, checks: index, availableChecks: available, ...times };
        if (index >= order.checks || (endless && outOfTime)) return sum;
      }
    },
  });
}

/** A target that may not be asked fails the task for good. */
async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    throw new TerminalError(error.message, { reason: error.code, details: "", cause: error });
  }
}
