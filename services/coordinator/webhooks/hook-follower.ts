// Follows the tasks that have hooks: makes a delivery of each of their events that is asked for, once, and removes the hook when the last one
// is stored. What is heard live only says where to look; whatever is lost is found again in rounds.

import type { TaskEvent } from "../../../gen/mycel/v1/task_log_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { isUnreadable } from "../../../lib/core/mesh-error.ts";
import { isTerminal } from "../../../lib/core/task-state.ts";
import { isDelivering, STRAY_HOOK_MS } from "../../../lib/core/webhook-delivery.ts";
import type { DirectReader } from "../../../lib/nats/direct-reader.ts";
import type { EventReader } from "../../../lib/nats/event-reader.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import type { StoredHook, WebhookHooks } from "../../../lib/nats/webhook-hooks.ts";
import { stateFromWire } from "../../../lib/wire/state-codec.ts";
import { eventSubject, parseTaskSubject, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { decodeEvent, type TaskRecord } from "../../../lib/wire/task-codec.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";

/** What following needs. */
export interface HookFollowerParts {
  readonly hooks: Pick<WebhookHooks, "remove">;
  readonly taskLog: Pick<TaskLog, "read">;
  readonly eventReader: Pick<EventReader, "read">;
  readonly reader: Pick<DirectReader, "read">;
  /** Tells the sequence of each event of a task as it is stored. May miss some. */
  readonly listen: (tenant: string, taskId: string, onEvent: (sequence: number) => void) => Disposable;
  readonly clock: Clock;
  /** Stores the delivery of an event, unless it stands. What it throws means: look again later. */
  readonly deliver: (record: TaskRecord, event: NonNullable<TaskRecord["event"]>) => Promise<void>;
  /** Hears why a task could not be looked at; it is looked at again. */
  readonly onTrouble: (error: unknown, taskId: string) => void;
}

/** How many tasks are looked at at once. */
const MAX_LOOKS = 64;

/** How many tasks are heard live; the others are found in rounds. A subscription each is little, but not nothing. */
const MAX_EARS = 20_000;

/** How many tasks one question of a round is about; the broker answers for 1,024 subjects at most. */
const ROUND_BATCH = 250;

/** What is known of a hook. */
interface Followed {
  hook: StoredHook;
  /** The last event of which the delivery is stored. */
  after: number;
  /** Whether the task was there and asked for its deliveries. */
  known: boolean;
  /** Whether all deliveries are stored, and only the hook's age keeps it here. */
  ended: boolean;
  /** The last event that was heard of. */
  reached: number;
  ear: Disposable | undefined;
  /** Whether it is to be looked at. */
  due: boolean;
  /** Whether it is being looked at. One look at a time: its deliveries have an order. */
  looking: boolean;
}

/**
 * How much later than a task's end its hook may have been written by another clock, in milliseconds. The next task of the name can't come
 * sooner: what has ended is kept for a second at least.
 */
const CLOCKS_APART_MS = 1_000;

/** Follows hooks until it is disposed. */
export class HookFollower implements AsyncDisposable {
  readonly #parts: HookFollowerParts;
  readonly #followed = new Map<string, Followed>();
  readonly #queue = new Set<Followed>();
  /** Followed since the last round, and since the one before. */
  #newborn: Followed[] = [];
  #young: Followed[] = [];
  readonly #looks = new Set<Promise<void>>();
  #stopped = false;

  constructor(parts: HookFollowerParts) {
    this.#parts = parts;
  }

  /** How many tasks are followed. */
  get size(): number {
    return this.#followed.size;
  }

  /**
   * Follows a task, or goes on with a hook that was written again. One that was just written is looked at when something is heard of it, or
   * soon: its task is only about to be stored.
   */
  follow(hook: StoredHook, age: "just_written" | "standing"): void {
    if (this.#stopped) return;
    const key = `${hook.tenant}.${hook.taskId}`;
    const known = this.#followed.get(key);
    if (known !== undefined && known.hook.sequence >= hook.sequence) return;
    if (known !== undefined) {
      known.hook = hook;
      this.#enqueue(known);
      return;
    }
    const followed: Followed = {
      hook,
      after: 0,
      known: false,
      ended: false,
      reached: 0,
      ear: undefined,
      due: false,
      looking: false,
    };
    this.#followed.set(key, followed);
    if (this.#followed.size <= MAX_EARS) {
      followed.ear = this.#parts.listen(hook.tenant, hook.taskId, (sequence) => {
        followed.reached = Math.max(followed.reached, sequence);
        this.#enqueue(followed);
      });
    }
    if (age === "standing") this.#enqueue(followed);
    else this.#newborn.push(followed);
  }

  /**
   * Looks where something may have passed unheard: at the tasks of new hooks, which may have begun before anybody listened, or at all.
   * Throws MeshError BROKER_UNAVAILABLE.
   */
  async round(which: "new" | "all"): Promise<void> {
    const young = this.#young;
    this.#young = this.#newborn;
    this.#newborn = [];
    const all = which === "new" ? young.filter((each) => this.#isFollowed(each)) : [...this.#followed.values()];
    const nowMs = this.#parts.clock.now();
    for (let i = 0; i < all.length && !this.#stopped; i += ROUND_BATCH) {
      const some = all.slice(i, i + ROUND_BATCH);
      const subjects = some.map(({ hook }) => eventSubject(hook.tenant, hook.taskId));
      const lasts = await this.#parts.reader.read(TASKS_STREAM, { multi_last: subjects });
      const reached = new Map(lasts.map(({ subject, sequence }) => [subject, sequence]));
      for (const followed of some) {
        const { tenant, taskId } = followed.hook;
        followed.reached = Math.max(followed.reached, reached.get(eventSubject(tenant, taskId)) ?? 0);
        const moved = followed.reached > followed.after;
        const waited = (!followed.known || followed.ended) && isOld(followed.hook, nowMs);
        if (moved || waited) this.#enqueue(followed);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#queue.clear();
    for (const { ear } of this.#followed.values()) ear?.[Symbol.dispose]();
    await Promise.all(this.#looks);
    this.#followed.clear();
  }

  #enqueue(followed: Followed): void {
    if (this.#stopped || followed.due) return;
    followed.due = true;
    if (!followed.looking) this.#push(followed);
  }

  #push(followed: Followed): void {
    this.#queue.add(followed);
    this.#start();
  }

  #start(): void {
    for (const followed of this.#queue) {
      if (this.#looks.size >= MAX_LOOKS) return;
      this.#queue.delete(followed);
      const look = this.#lookAt(followed).finally(() => {
        this.#looks.delete(look);
        this.#start();
      });
      this.#looks.add(look);
    }
  }

  async #lookAt(followed: Followed): Promise<void> {
    followed.due = false;
    followed.looking = true;
    try {
      if (this.#isFollowed(followed)) await this.#look(followed);
    } catch (error) {
      this.#parts.onTrouble(error, followed.hook.taskId);
    }
    followed.looking = false;
    // News that came meanwhile asks for another look.
    if (this.#isDue(followed) && !this.#stopped) this.#push(followed);
  }

  #isDue({ due }: Followed): boolean {
    return due;
  }

  #isFollowed(followed: Followed): boolean {
    return this.#followed.get(`${followed.hook.tenant}.${followed.hook.taskId}`) === followed;
  }

  async #look(followed: Followed): Promise<void> {
    const { hook } = followed;
    const record = await this.#read(followed);
    const asked = record?.dispatch.message.task?.webhook;
    if (record === undefined || asked === undefined) {
      // Its submission may be under way; or it was refused, and the task of this name is another's.
      if (isOld(hook, this.#parts.clock.now())) await this.#drop(followed, hook);
      return;
    }
    followed.known = true;
    followed.ended = false;
    for (const event of await this.#eventsAfter(followed, record, asked.allStates)) {
      const state = stateFromWire(event.message.state);
      if (state !== undefined && isDelivering(state, asked.allStates)) await this.#parts.deliver(record, event);
      followed.after = Math.max(followed.after, event.sequence);
    }
    const last = record.event;
    const state = last === undefined ? undefined : stateFromWire(last.message.state);
    if (last === undefined || state === undefined || !isTerminal(state) || followed.after < last.sequence) return;
    // A hook that is younger than the end belongs to a repetition, or to the next task of this name, whose submission is under way.
    followed.ended = true;
    const endMs = msFromTimestamp(last.message.eventTime) ?? 0;
    const own = hook.storeMs <= endMs + CLOCKS_APART_MS;
    if (own || isOld(hook, this.#parts.clock.now())) await this.#drop(followed, hook);
  }

  async #read({ hook, reached, after }: Followed): Promise<TaskRecord | undefined> {
    try {
      return await this.#parts.taskLog.read(hook.tenant, hook.taskId, Math.max(reached, after));
    } catch (error) {
      // Nobody will ever know what becomes of it.
      if (isUnreadable(error)) return undefined;
      throw error;
    }
  }

  /** The events whose deliveries are not stored yet, oldest first. */
  async #eventsAfter(
    { hook, after }: Followed,
    { event: last }: TaskRecord,
    allStates: boolean,
  ): Promise<readonly NonNullable<TaskRecord["event"]>[]> {
    if (last === undefined || last.sequence <= after) return [];
    if (!allStates) return [last];
    const events: NonNullable<TaskRecord["event"]>[] = [];
    for (let from = after + 1; from <= last.sequence;) {
      const found = await this.#parts.eventReader.read(hook.tenant, hook.taskId, from);
      const newest = found.at(-1);
      if (newest === undefined) break;
      for (const { subject, body, sequence } of found) {
        if (sequence > last.sequence || parseTaskSubject(subject)?.kind !== "event") continue;
        const message = eventIn(body);
        if (message !== undefined) events.push({ message, sequence });
      }
      from = newest.sequence + 1;
    }
    return events;
  }

  /** A hook that was written again meanwhile stays, and is followed as what it is now. */
  async #drop(followed: Followed, hook: StoredHook): Promise<void> {
    await this.#parts.hooks.remove(hook);
    if (followed.hook.sequence !== hook.sequence) return;
    followed.ear?.[Symbol.dispose]();
    this.#followed.delete(`${hook.tenant}.${hook.taskId}`);
  }
}

/** Undefined for what nobody can read: it must neither hold up the events after it, nor keep the task for ever. */
function eventIn(body: Uint8Array): TaskEvent | undefined {
  try {
    return decodeEvent(body);
  } catch (error) {
    if (isUnreadable(error)) return undefined;
    throw error;
  }
}

function isOld({ storeMs }: StoredHook, nowMs: number): boolean {
  return nowMs - storeMs > STRAY_HOOK_MS;
}
