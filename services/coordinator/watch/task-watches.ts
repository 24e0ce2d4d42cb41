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
  /** Names whoever watches; undefined where nobody is asked who they are. */
  readonly caller: string | undefined;
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
/** How many of them for one caller, so that nobody keeps the others out. */
export const MAX_WATCHES_OF_ONE = 100;

const RETRY_MS = 1_000;

interface House {
  readonly watch: TenantWatch;
  readonly opened: Promise<void>;
}

/** Serves watches of all tasks. */
export class TaskWatches {
  readonly #options: TaskWatchesOptions;
  readonly #tenants = new Map<string, House>();
  readonly #ofCallers = new Map<string, number>();
  #count = 0;

  constructor(options: TaskWatchesOptions) {
    this.#options = options;
  }

  /** How many tenants are listened to. */
  get tenantCount(): number {
    return this.#tenants.size;
  }

  /** Tells what happens from now on. Throws MeshError TOO_MANY_STREAMS, DRAINING, BROKER_UNAVAILABLE. */
  async *watch(question: WatchQuestion): AsyncGenerator<WatchTasksResponse, void, undefined> {
    const { tenant, caller, filter, scope, signal } = question;
    this.#enter(caller);
    const { drain } = this.#options;
    const watcher = new Watcher(filter, scope);
    let house: House | undefined;
    try {
      house = this.#houseOf(tenant);
      house.watch.join(watcher);
      await house.opened;
      yield* watcher.messages(AbortSignal.any([signal, drain]));
    } finally {
      this.#exit(caller);
      if (house !== undefined) this.#leave(tenant, house, watcher);
    }
    if (drain.aborted) throw new MeshError("DRAINING", "the coordinator is shutting down", { retryDelayMs: 100 });
  }

  #enter(caller: string | undefined): void {
    if (this.#count >= MAX_WATCHES) throw tooMany(`${MAX_WATCHES} watches of tasks are open here`);
    const own = caller === undefined ? 0 : (this.#ofCallers.get(caller) ?? 0);
    if (own >= MAX_WATCHES_OF_ONE) throw tooMany(`${MAX_WATCHES_OF_ONE} watches of tasks of this caller are open here`);
    this.#count += 1;
    if (caller !== undefined) this.#ofCallers.set(caller, own + 1);
  }

  #exit(caller: string | undefined): void {
    this.#count -= 1;
    if (caller === undefined) return;
    const left = (this.#ofCallers.get(caller) ?? 1) - 1;
    if (left === 0) this.#ofCallers.delete(caller);
    else this.#ofCallers.set(caller, left);
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

function tooMany(message: string): MeshError {
  return new MeshError("TOO_MANY_STREAMS", message, { retryDelayMs: RETRY_MS });
}
