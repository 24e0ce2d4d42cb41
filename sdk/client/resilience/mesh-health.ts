// What a client knows of its coordinators' health: each is asked by the standard health service, at the same time, for a moment at most.
import { createClient as createRpcClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus } from "../../../gen/health/v1/health_pb.ts";
import type { Endpoint } from "../endpoints.ts";
import { toMycelError } from "../mycel-error.ts";
import type { BreakerState } from "./breaker-options.ts";

/** The health of one coordinator. */
export interface EndpointHealth {
  readonly url: string;
  /** `not_serving`: it answers, and takes no calls: it starts, leaves, or has lost its broker. */
  readonly status: "serving" | "not_serving" | "unreachable";
  /** Why it is unreachable, one line; empty otherwise. */
  readonly detail: string;
  /** Its circuit breaker as it was asked; undefined for a client without breakers. */
  readonly breaker: BreakerState | undefined;
}

/** The health of the mesh, as this client sees it. */
export interface MeshHealth {
  /** Whether any coordinator serves. */
  readonly healthy: boolean;
  /** In the order of the client's URLs. */
  readonly endpoints: readonly EndpointHealth[];
  /** When they were asked. */
  readonly checkTime: Date;
}

/** How long a coordinator may take to tell its health, in milliseconds. One that takes longer helps nobody. */
export const HEALTH_TIMEOUT_MS = 2_000;

/** Asks one coordinator. Never rejects. */
export async function askHealth(
  endpoint: Pick<Endpoint, "url" | "transport" | "connect">,
): Promise<Pick<EndpointHealth, "status" | "detail">> {
  try {
    await endpoint.connect(HEALTH_TIMEOUT_MS);
    const { status } = await createRpcClient(Health, endpoint.transport).check({}, { timeoutMs: HEALTH_TIMEOUT_MS });
    const serves = status === HealthCheckResponse_ServingStatus.SERVING;
    return { status: serves ? "serving" : "not_serving", detail: "" };
  } catch (error) {
    return { status: "unreachable", detail: toMycelError(error).message };
  }
}

/** Asks all of them. Never rejects. */
export async function askMeshHealth(
  endpoints: readonly Endpoint[],
  breakerOf: (url: string) => BreakerState | undefined,
  now: () => number,
): Promise<MeshHealth> {
  const checkTime = new Date(now());
  const each = await Promise.all(
    endpoints.map(async (endpoint): Promise<EndpointHealth> => {
      const breaker = breakerOf(endpoint.url);
      return { url: endpoint.url, breaker, ...(await askHealth(endpoint)) };
    }),
  );
  return { healthy: each.some(({ status }) => status === "serving"), endpoints: each, checkTime };
}
