// What a watch of metrics does while nobody holds the index.
import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GetMetricsResponseSchema, MetricsService } from "../../../gen/mycel/v1/metrics_service_pb.ts";
import { indexUnavailable } from "../../../lib/nats/index-requests.ts";
import { metricRpcs } from "../../../services/coordinator/rpc/metrics.ts";
import { calledBy } from "../../support/principals.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

/** A watch of an index that answers as it is told to. */
function watched(answers: readonly (number | Error)[]) {
  const left = [...answers];
  const getMetrics = async () => {
    const answer = left.shift();
    if (answer instanceof Error) throw answer;
    return create(GetMetricsResponseSchema, { metrics: { total: { submittedCount: BigInt(answer ?? 0) } } });
  };
  const rpcs = metricRpcs({ index: { getMetrics }, draining: new AbortController().signal });
  const transport = createRouterTransport(({ service }) => service(MetricsService, rpcs), {
    router: { interceptors: [calledBy()] },
  });
  const watch = createClient(MetricsService, transport).watchMetrics({})[Symbol.asyncIterator]();
  return async (): Promise<bigint | undefined> => {
    const next = watch.next();
    // What it fails with is the test's, once time has passed.
    next.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(10_000);
    const { value } = await next;
    return value?.metrics?.total?.submittedCount;
  };
}

test("a watch goes on when another coordinator takes the index over", async () => {
  const next = watched([1, indexUnavailable("moved"), indexUnavailable("built"), 2]);
  expect(await next()).toBe(1n);
  expect(await next()).toBe(2n);
});

test("a watch ends with what else goes wrong, and is refused if nobody holds the index at its beginning", async () => {
  await expect(watched([indexUnavailable("nobody"), 1])()).rejects.toThrow();
  const next = watched([1, new Error("broken")]);
  expect(await next()).toBe(1n);
  await expect(next()).rejects.toThrow();
});
