// grpc.health.v1 for Connect routers: holds the serving status of each service and tells watchers when it changes.
// It decides nothing about health itself; whoever owns the service calls set().
import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { Health as HealthService, HealthCheckResponse_ServingStatus } from "../../../gen/health/v1/health_pb.ts";
import { richError } from "../rich-error.ts";

/** What a service can be told to be. */
export type ServingStatus = "SERVING" | "NOT_SERVING";

/** Options of {@link createHealth}. */
export interface HealthOptions {
  /** Services that Check knows from the start, besides `""`, the server as a whole. */
  readonly services: readonly (DescService | string)[];
  /** Status of all of them at the start; default `SERVING`. */
  readonly initialStatus?: ServingStatus;
  /**
   * How many Watch calls may be open at once, default 1000, at least 1. One more is refused with RESOURCE_EXHAUSTED and
   * RetryInfo.
   */
  readonly maxWatchers?: number;
}

/** The health of a server. */
export interface Health {
  /** Registers `grpc.health.v1.Health` on a router. */
  register(router: ConnectRouter): void;
  /** What answers the calls of grpc.health.v1.Health. */
  readonly implementation: ServiceImpl<typeof HealthService>;
  /**
   * Sets the status of a service, or of the server as a whole (`""`). A name that was unknown becomes known. Ignored
   * after {@link drain}.
   */
  set(service: DescService | string, status: ServingStatus): void;
  /** The status of a service, or undefined when it is not known. */
  status(service: DescService | string): ServingStatus | undefined;
  /** Sets everything to NOT_SERVING for good and tells the watchers, whose calls stay open. */
  drain(): void;
  /** How many Watch calls are open. */
  readonly watchers: number;
}

const DEFAULT_MAX_WATCHERS = 1000;
// The bound that health.proto sets for List.
const MAX_LISTED_SERVICES = 100;
// A watcher's service name is kept while it watches; no Protobuf name is nearly this long.
const MAX_SERVICE_NAME_LENGTH = 512;
const WATCHERS_RETRY_DELAY_MS = 5000;

type Watcher = () => void;

/**
 * Creates the health of a server.
 *
 * @throws RangeError when `maxWatchers` is not a whole number of at least 1.
 */
export function createHealth(options: HealthOptions): Health {
  const maxWatchers = options.maxWatchers ?? DEFAULT_MAX_WATCHERS;
  if (!Number.isInteger(maxWatchers) || maxWatchers < 1) {
    throw new RangeError(`maxWatchers must be a whole number of at least 1, got ${maxWatchers}`);
  }
  const statuses = new Map<string, ServingStatus>();
  for (const service of ["", ...options.services]) {
    statuses.set(nameOf(service), options.initialStatus ?? "SERVING");
  }
  const watchers = new Map<string, Set<Watcher>>();
  let watcherCount = 0;
  let drained = false;

  const change = (service: string, status: ServingStatus): void => {
    if (statuses.get(service) !== status) {
      statuses.set(service, status);
      for (const wake of watchers.get(service) ?? []) {
        wake();
      }
    }
  };

  async function* watch(service: string, signal: AbortSignal): AsyncIterable<ReturnType<typeof response>> {
    if (service.length > MAX_SERVICE_NAME_LENGTH) {
      throw richError({
        code: Code.InvalidArgument,
        reason: "INVALID_SERVICE_NAME",
        message: `service must be at most ${MAX_SERVICE_NAME_LENGTH} characters`,
        violations: [{ field: "service", description: `must be at most ${MAX_SERVICE_NAME_LENGTH} characters` }],
      });
    }
    if (watcherCount >= maxWatchers) {
      throw richError({
        code: Code.ResourceExhausted,
        reason: "TOO_MANY_WATCHERS",
        message: `the limit of ${maxWatchers} open Watch calls is reached`,
        retryDelayMs: WATCHERS_RETRY_DELAY_MS,
        quota: [{ subject: "server", description: `${maxWatchers} open Watch calls` }],
      });
    }
    let changed = Promise.withResolvers<void>();
    const wake = (): void => changed.resolve();
    const ofService = watchers.get(service) ?? new Set<Watcher>();
    watchers.set(service, ofService.add(wake));
    watcherCount += 1;
    signal.addEventListener("abort", wake, { once: true });
    try {
      let last: ServingStatus | undefined | null = null;
      for (;;) {
        changed = Promise.withResolvers<void>();
        const status = statuses.get(service);
        // A slow reader sees the latest status only: nothing queues up for it. It sees that one even when the call ends now: a
        // server that drains says NOT_SERVING in the same moment in which it ends its streams.
        if (status !== last) {
          last = status;
          yield response(status);
        } else if (signal.aborted) throw abortReason(signal);
        else await changed.promise;
      }
    } finally {
      signal.removeEventListener("abort", wake);
      watcherCount -= 1;
      ofService.delete(wake);
      if (ofService.size === 0 && watchers.get(service) === ofService) {
        watchers.delete(service);
      }
    }
  }

  const check = (service: string): ReturnType<typeof response> => {
    const status = statuses.get(service);
    if (status === undefined) {
      throw richError({
        code: Code.NotFound,
        reason: "UNKNOWN_SERVICE",
        message: `unknown service "${service}"`,
        resource: { type: "service", name: service },
      });
    }
    return response(status);
  };

  const list = (): { statuses: Record<string, ReturnType<typeof response>> } => {
    if (statuses.size > MAX_LISTED_SERVICES) {
      throw new ConnectError(`more than ${MAX_LISTED_SERVICES} services; use Check`, Code.ResourceExhausted);
    }
    return {
      statuses: Object.fromEntries([...statuses].map(([service, status]) => [service, response(status)])),
    };
  };

  const implementation: ServiceImpl<typeof HealthService> = {
    check: (request) => check(request.service),
    list,
    watch: (request, context) => watch(request.service, context.signal),
  };

  return {
    implementation,
    register: (router) => void router.service(HealthService, implementation),
    set(service, status) {
      if (!drained) {
        change(nameOf(service), status);
      }
    },
    status: (service) => statuses.get(nameOf(service)),
    drain() {
      drained = true;
      for (const service of statuses.keys()) {
        change(service, "NOT_SERVING");
      }
    },
    get watchers() {
      return watcherCount;
    },
  };
}

function nameOf(service: DescService | string): string {
  return typeof service === "string" ? service : service.typeName;
}

function response(status: ServingStatus | undefined): { status: HealthCheckResponse_ServingStatus } {
  return { status: HealthCheckResponse_ServingStatus[status ?? "SERVICE_UNKNOWN"] };
}

function abortReason(signal: AbortSignal): ConnectError {
  return ConnectError.from(signal.reason ?? "the call was aborted", Code.Canceled);
}
