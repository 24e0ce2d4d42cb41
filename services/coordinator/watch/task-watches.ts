// All watches of all tasks in one process: how many there may be, which feed each shares, and how they end.

import type { TaskFilter, WatchTasksResponse } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { TenantFeed, TenantListener } from "../../../lib/nats/tenant-feed.ts";
import { TenantWatch } from "./tenant-watch.ts";
import { Watcher } from "./watcher.ts";

/** Which changes to tell. */
export interface WatchQuestion {
  readonly tenant: string;
  readonly filter: TaskFilter | undefined;
  /** The tasks that whoever watches may see; all if undefined. */
  readonly scope: TaskScope | undefined;
  /** Ends the watch, in silence. */
  readonly signal: AbortSignal;
}

/** What watches need. */
export interface TaskWatchesOptions {
  readonly openFeed: (tenant: string, listener: TenantListener) => Promise<TenantFeed>;
  readonly clock: Clock;
  /** When it aborts, all watches end with DRAINING. */
  readonly drain: AbortSignal;
}

/** How many watches a process serves. */
export const MAX_WATCHES = 1_000;

const RETRY_MS = 1_000;

interface House {
  readonly watch: TenantWatch;
  readonly opened: Promise<void>;
}

/** Serves watches of all tasks. */
export class TaskWatches {
  readonly #options: TaskWatchesOptions;
  readonly #tenants = new Map<string, House>();
  #count = 0;

  constructor(options: TaskWatchesOptions) {
    this.#options = options;
  }

  /** How many tenants are listened to. */
  get tenantCount(): number {
    return this.#tenants.size;
  }

  /** Tells what happens from now on. Throws MeshError TOO_MANY_STREAMS, DRAINING, BROKER_UNAVAILABLE. */
  async *watch({ tenant, filter, scope, signal }: WatchQuestion): AsyncGenerator<WatchTasksResponse, void, undefined> {
    if (this.#count >= MAX_WATCHES) {
      throw new MeshError("TOO_MANY_STREAMS", `${MAX_WATCHES} watches of tasks are open here`, {
        retryDelayMs: RETRY_MS,
      });
    }
    this.#count += 1;
    const { drain } = this.#options;
    const watcher = new Watcher(filter, scope);
    let house: House | undefined;
    try {
      house = this.#houseOf(tenant);
      house.watch.join(watcher);
      await house.opened;
      yield* watcher.messages(AbortSignal.any([signal, drain]));
    } finally {
      this.#count -= 1;
      if (house !== undefined) this.#leave(tenant, house, watcher);
    }
    if (drain.aborted) throw new MeshError("DRAINING", "the coordinator is shutting down", { retryDelayMs: 100 });
  }

  #houseOf(tenant: string): House {
    const known = this.#tenants.get(tenant);
    if (known !== undefined) return known;
    const watch = new TenantWatch(this.#options.clock);
    const opened = this.#options.openFeed(tenant, watch).then((feed) => {
      // Everybody may have left before it was open.
      if (watch.size === 0) feed[Symbol.dispose]();
      else watch.begin(feed);
    });
    // Whoever joins hears of it.
    opened.catch(() => undefined);
    const house = { watch, opened };
    this.#tenants.set(tenant, house);
    return house;
  }

  #leave(tenant: string, house: House, watcher: Watcher): void {
    house.watch.leave(watcher);
    if (house.watch.size > 0) return;
    if (this.#tenants.get(tenant) === house) this.#tenants.delete(tenant);
    house.watch[Symbol.dispose]();
  }
}
