// The RPCs that tell how the mesh is doing, answered by the index.

import type { ServiceImpl } from "@connectrpc/connect";
import { create } from "@bufbuild/protobuf";
import { GetMetricsRequestSchema, type MetricsService } from "../../../gen/mycel/v1/metrics_service_pb.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { pause } from "../../../lib/time/pause.ts";
import { checkGetMetrics, checkWatchMetrics } from "../index/metric-query.ts";
import type { TaskLists } from "../index/asked-lists.ts";
import { scopeOf, tenantOf } from "./caller.ts";

/** What the RPCs need. */
export interface MetricRpcParts {
  readonly index: Pick<TaskLists, "getMetrics">;
  /** Aborts, with the error that ends all streams, when the coordinator drains. */
  readonly draining: AbortSignal;
}

/** Implements the service. */
export function metricRpcs({ index, draining }: MetricRpcParts): ServiceImpl<typeof MetricsService> {
  return {
    getMetrics: (request, context) => {
      checkGetMetrics(request);
      return index.getMetrics(tenantOf(context), request, scopeOf(context, "metrics:read"));
    },
    watchMetrics: async function* watchMetrics(request, context) {
      const intervalMs = checkWatchMetrics(request);
      const tenant = tenantOf(context);
      const scope = scopeOf(context, "metrics:read");
      const { types, agentId, window } = request;
      const question = create(GetMetricsRequestSchema, {
        types,
        agentId,
        ...(window === undefined ? {} : { window }),
      });
      const over = AbortSignal.any([context.signal, draining]);
      let isUnderWay = false;
      while (!over.aborted) {
        try {
          const { metrics } = await index.getMetrics(tenant, question, scope);
          isUnderWay = true;
          if (metrics !== undefined) yield { metrics };
        } catch (error) {
          // Another coordinator takes the index over: what was counted is told again soon.
          if (!isUnderWay || !(error instanceof MeshError) || error.reason !== "INDEX_UNAVAILABLE") throw error;
        }
        await pause(intervalMs, over);
      }
      draining.throwIfAborted();
    },
  };
}
