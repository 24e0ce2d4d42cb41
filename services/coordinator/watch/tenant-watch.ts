// All watches of a tenant: one feed for all of them, open while there is a watch.
//
// What is heard waits in bounds and is taken in batches, each with one read for the tasks in it that are not known yet. What is too much
// is missed: looking on must not hold up what is looked at.

import type { TaskEvent } from "../../../gen/mycel/v1/task_log_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import type { TenantFeed, TenantListener } from "../../../lib/nats/tenant-feed.ts";
import { pause } from "../../../lib/time/pause.ts";
import { readEvent } from "../index/stored-facts.ts";
import { decodeEvent } from "../../../lib/wire/task-codec.ts";
import { KnownTasks, taskAfter } from "./known-tasks.ts";
import type { MissedCount, Watcher } from "./watcher.ts";

/** What is heard and not looked at yet, at most: messages, and bytes of events. */
const MAX_HEARD = 8_192;
const MAX_HEARD_BYTES = 8_388_608;

/** How many are looked at together. */
const BATCH = 256;

/** How long to gather, in milliseconds: by then most dispatches that were heard on their way stand in the log. */
const GATHER_MS = 10;

/** When to look again for a dispatch that did not stand yet, each in milliseconds after the look before. Then it was refused. */
const LOOK_AGAIN_MS: readonly number[] = [30, 100, 400, 1_500, 5_000];

/** A dispatch that had stood this long, in milliseconds, when one of its task was heard is another one: that one was refused. */
const SAME_DISPATCH_MS = 10_000;

interface HeardEvent {
  readonly kind: "event";
  readonly taskId: string;
  readonly stored: StoredMessage;
}

interface HeardDispatch {
  readonly kind: "dispatch";
  readonly taskId: string;
  readonly heardMs: number;
  /** How often it was looked for. */
  readonly looks: number;
}

type Heard = HeardEvent | HeardDispatch;

/** Tells the watches of a tenant what happens. */
export class TenantWatch implements TenantListener, Disposable {
  readonly #clock: Clock;
  readonly #watchers = new Set<Watcher>();
  readonly #known = new KnownTasks();
  readonly #closed = new AbortController();
  #feed: TenantFeed | undefined;
  #heard: Heard[] = [];
  #heardBytes = 0;
  /** The dispatches that wait to be looked for again, by task. */
  readonly #awaited = new Map<string, HeardDispatch>();
  #working = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many watches there are. */
  get size(): number {
    return this.#watchers.size;
  }

  /** Begins with what a feed reads. */
  begin(feed: TenantFeed): void {
    this.#feed = feed;
    this.#work();
  }

  join(watcher: Watcher): void {
    this.#watchers.add(watcher);
  }

  leave(watcher: Watcher): void {
    this.#watchers.delete(watcher);
  }

  event(taskId: string, stored: StoredMessage): void {
    this.#hear({ kind: "event", taskId, stored });
  }

  dispatch(taskId: string): void {
    this.#hear({ kind: "dispatch", taskId, heardMs: this.#clock.now(), looks: 0 });
  }

  lost(): void {
    this.#miss(undefined);
  }

  [Symbol.dispose](): void {
    this.#closed.abort();
    this.#feed?.[Symbol.dispose]();
    this.#heard = [];
  }

  #hear(heard: Heard): void {
    const size = heard.kind === "event" ? heard.stored.body.length : 0;
    if (this.#heard.length >= MAX_HEARD || this.#heardBytes + size > MAX_HEARD_BYTES) {
      this.#miss(1);
      return;
    }
    this.#heard.push(heard);
    this.#heardBytes += size;
    this.#work();
  }

  #work(): void {
    if (this.#working || this.#feed === undefined || this.#heard.length === 0) return;
    this.#working = true;
    void this.#lookAtAll(this.#feed).finally(() => {
      this.#working = false;
      this.#work();
    });
  }

  async #lookAtAll(feed: TenantFeed): Promise<void> {
    while (this.#heard.length > 0 && (await pause(GATHER_MS, this.#closed.signal))) {
      const all = this.#heard;
      this.#heard = [];
      this.#heardBytes = 0;
      for (let at = 0; at < all.length && !this.#closed.signal.aborted; at += BATCH) {
        await this.#lookAt(feed, all.slice(at, at + BATCH));
      }
    }
  }

  async #lookAt(feed: TenantFeed, batch: readonly Heard[]): Promise<void> {
    const wanted = batch.flatMap((heard) => this.#wanted(heard) ?? []);
    const unknown = new Set(wanted.filter(({ heard }) => this.#mustLook(heard)).map(({ heard }) => heard.taskId));
    try {
      if (unknown.size > 0) this.#known.learn(await feed.dispatchesOf([...unknown]));
    } catch {
      // The broker does not answer: what was heard is not told, and is no reason to end a watch.
      this.#miss(wanted.length);
      return;
    }
    for (const { heard, event } of wanted) {
      if (event !== undefined) this.#tellEvent(heard.taskId, event);
      else if (heard.kind === "dispatch") this.#tellDispatch(heard);
    }
    this.#known.trim();
  }

  /** An ended task of which another dispatch is heard was purged, and submitted anew; or the dispatch is refused. */
  #mustLook({ kind, taskId }: Heard): boolean {
    const known = this.#known.peek(taskId);
    return known === undefined || (kind === "dispatch" && known.ended);
  }

  /** What is heard, if any watch can want it. */
  #wanted(
    heard: Heard,
  ):
    | { readonly heard: Heard; readonly event?: { readonly message: TaskEvent; readonly sequence: number } }
    | undefined {
    if (heard.kind === "dispatch") return { heard };
    try {
      // Without the result, which may be large.
      const message = decodeEvent(readEvent(heard.stored.body).kept);
      if (![...this.#watchers].some((watcher) => watcher.mayWant(message))) return undefined;
      return { heard, event: { message, sequence: heard.stored.sequence } };
    } catch {
      this.#miss(1);
      return undefined;
    }
  }

  #tellEvent(taskId: string, event: { readonly message: TaskEvent; readonly sequence: number }): void {
    const known = this.#known.get(taskId);
    const task = known === undefined ? undefined : taskAfter(known, event);
    if (known === undefined || task === undefined) return this.#miss(1);
    const awaited = this.#awaited.get(taskId);
    if (awaited !== undefined) this.#tellDispatch(awaited);
    known.told = true;
    known.ended = task.status?.endTime !== undefined;
    for (const watcher of this.#watchers) watcher.tell(task);
  }

  #tellDispatch(heard: HeardDispatch): void {
    const known = this.#known.get(heard.taskId);
    if (known === undefined) return this.#lookAgain(heard);
    const { message } = known.record.dispatch;
    const first = message.attempt <= 1 && message.fence === 0n;
    if (known.told || !first || known.storeMs < heard.heardMs - SAME_DISPATCH_MS) return;
    known.told = true;
    const task = taskAfter(known, undefined);
    if (task === undefined) return;
    for (const watcher of this.#watchers) watcher.tell(task);
  }

  #lookAgain(heard: HeardDispatch): void {
    const { taskId, looks } = heard;
    const waitMs = LOOK_AGAIN_MS[looks];
    if (waitMs === undefined || this.#awaited.has(taskId)) return;
    if (this.#awaited.size >= MAX_HEARD) return this.#miss(1);
    this.#awaited.set(taskId, heard);
    void pause(waitMs, this.#closed.signal).then((waited) => {
      this.#awaited.delete(taskId);
      if (waited) this.#hear({ ...heard, looks: looks + 1 });
    });
  }

  #miss(count: MissedCount): void {
    for (const watcher of this.#watchers) watcher.miss(count);
  }
}
