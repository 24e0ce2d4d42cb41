// How many calls a second a server answers when a light client from outside asks: the RPC layer alone, and with a submission behind it.

import type { GrpcLoad } from "../support/grpc-load.ts";
import type { CallAmounts, UnaryCall } from "../support/grpc-caller.ts";
import { BenchError } from "../support/bench-error.ts";
import type { Contender } from "../support/contender.ts";
import { type Rate, type RateScenario, SMALL_INPUT_BYTES } from "./scenario.ts";
import { logged } from "./timed.ts";

const CONCURRENCIES = [16, 256] as const;

/** Empty calls: the health check, and the echo of the RPC libraries. */
export const SERVED_EMPTY: readonly RateScenario[] = CONCURRENCIES.map((concurrency) => ({
  kind: "rate",
  id: `served-empty-${concurrency}`,
  title: `empty calls by a light client, ${concurrency} at once`,
  unit: "calls/s",
  runsOn: ({ unaryCalls }) => unaryCalls !== undefined,
  durabilities: ["second"],
  measure: ({ contender, amounts, grpcLoad }) =>
    served(grpcLoad, contender.unaryCalls?.empty, { calls: amounts.served, concurrency }),
}));

/** Submissions to a queue that nobody serves. */
export const SERVED_SUBMIT: readonly RateScenario[] = CONCURRENCIES.map((concurrency) => ({
  kind: "rate",
  id: `served-submit-${concurrency}`,
  title: `single submissions by a light client, ${concurrency} at once, nothing else`,
  unit: "tasks/s",
  runsOn: ({ unaryCalls }) => unaryCalls?.submission !== undefined,
  durabilities: ["second"],
  measure: ({ contender, amounts, grpcLoad }) => {
    const calls = amounts.served;
    return logged(contender, calls, () => served(grpcLoad, submissionOf(contender), { calls, concurrency }));
  },
}));

function submissionOf({ unaryCalls }: Contender): UnaryCall | undefined {
  return unaryCalls?.submission?.(SMALL_INPUT_BYTES);
}

async function served(load: GrpcLoad | undefined, call: UnaryCall | undefined, amounts: CallAmounts): Promise<Rate> {
  if (load === undefined || call === undefined) throw new BenchError("nobody calls from outside");
  return { count: amounts.calls, tookMs: await load.run(call, amounts) };
}
