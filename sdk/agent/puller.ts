// Owns the lanes: sends the pulls that lane-policy.ts plans, keeps what arrived until a slot is free, and finds pulls that went silent.
// It must not look into tasks.
import type { Clock } from "../../lib/core/clock.ts";
import type { DeliverySubject } from "../../lib/wire/subjects.ts";
import type { Link, PullStatus } from "./link.ts";
import { type LaneState, nextStart, planPulls } from "./lane-policy.ts";

/** A durable consumer to pull from. */
export interface LaneFacts {
  readonly queue: string;
  readonly priority: number;
  readonly stream: string;
  readonly consumer: string;
  /** When the consumer was made, by the broker's clock, in milliseconds since 1970. */
  readonly createMs: number;
}

/** What the puller needs. `Item` is whatever the agent makes of a delivery. */
export interface PullerOptions<Item> {
  readonly link: Pick<Link, "pull" | "connected" | "clustered" | "pullLimitMs">;
  readonly clock: Clock;
  readonly concurrency: number;
  /** In how many slots no handler runs. */
  readonly freeSlots: () => number;
  /** Takes the next free slot for the item. */
  readonly start: (item: Item) => void;
  /** A lane's consumer is not there: the session may be out of date. */
  readonly onLaneMissing: () => void;
  /** A lane's consumer did not take a pull: when it is back, it may be another one. */
  readonly onLaneAway: (consumer: string) => void;
}

interface Lane<Item> extends LaneState {
  readonly facts: LaneFacts;
  readonly subject: string;
  readonly items: Item[];
  token: string;
  /** When the broker was last heard on this lane. */
  heardMs: number;
  /** For how long nothing may be heard of what is asked. */
  silenceMs: number;
  failures: number;
}

interface PullText {
  readonly body: string;
  /** After how long it is over by itself. */
  readonly expiresMs: number;
  /** For how long nothing may be heard of it. */
  readonly silenceMs: number;
}

// In a cluster a pull dies with the server that leads the consumer, and only its silence tells. The broker looks at all pulls of a consumer
// for each sign of life of each: this costs it a quarter of a core with 500 idle agents.
const STANDING_IN_CLUSTER = standing({ expiresMs: 10_000, heartbeatMs: 2_000 });
// On its own, the server that has the pull is the one at the other end of the connection, and they are lost together: a quarter of that.
const STANDING_ALONE = standing({ expiresMs: 30_000, heartbeatMs: 10_000 });
// Of a pull that is shortened.
const HEARTBEAT_MS = 2_000;
// A pull for what is there now is answered within a round trip; while it is not, lower lanes wait.
const BATCH_SILENCE_MS = 1_000;
// Shorter ones are not worth their while: the credential is about to end.
const SHORTEST_MS = 1_000;
const MAX_AHEAD = 64;
// What is held beyond the free slots is worked off within about this time at the current pace.
const AHEAD_MS = 10;
const PACE_WINDOW_MS = 50;
const MAX_PAUSE_MS = 5_000;

/** Pulls work for an agent. */
export class Puller<Item> {
  readonly #options: PullerOptions<Item>;
  #lanes: Lane<Item>[] = [];
  readonly #byConsumer = new Map<string, Lane<Item>>();
  readonly #byToken = new Map<string, Lane<Item>>();
  #scheduled = false;
  #stopped = false;
  #full = false;
  #turn = 0;
  #lastStarted = -1;
  #tokens = 0;
  #paceStartMs = 0;
  #paceCount = 0;
  #pace = 0;
  #held = 0;

  constructor(options: PullerOptions<Item>) {
    this.#options = options;
  }

  /** How many items wait for a slot. */
  get held(): number {
    return this.#held;
  }

  /** Sets the lanes, anew after each registration; those that stay keep what they hold. */
  setLanes(facts: readonly LaneFacts[]): void {
    const old = new Map(this.#byConsumer);
    this.#byConsumer.clear();
    const lanes = facts.map((fact) => {
      const kept = old.get(laneKey(fact.stream, fact.consumer));
      const lane = kept?.facts.priority === fact.priority ? kept : newLane<Item>(fact, kept?.items ?? []);
      lane.pausedUntilMs = 0;
      lane.suspended = false;
      lane.failures = 0;
      this.#byConsumer.set(laneKey(fact.stream, fact.consumer), lane);
      return lane;
    });
    this.#lanes = lanes.toSorted((a, b) => b.priority - a.priority);
    this.#lastStarted = -1;
    // What a lane held that is gone is handed back when it has waited too long.
    this.#held = this.#lanes.reduce((sum, lane) => sum + lane.items.length, 0);
    this.schedule();
  }

  /** Takes in a delivery of its lane; false if the lane is unknown. */
  arrived({ stream, consumer, deliveries, pending }: DeliverySubject, item: Item): boolean {
    const lane = this.#byConsumer.get(laneKey(stream, consumer));
    if (lane === undefined) return false;
    lane.items.push(item);
    lane.held = lane.items.length;
    this.#held += 1;
    // What was delivered before goes first: behind a first delivery with nothing pending, there is nothing.
    this.#received(lane, deliveries === 1 && pending === 0);
    return true;
  }

  /** Starts and pulls nothing more of the lane until lanes are set anew. */
  suspend(stream: string, consumer: string): void {
    const lane = this.#byConsumer.get(laneKey(stream, consumer));
    if (lane !== undefined) lane.suspended = true;
  }

  /** A delivery of the lane is none that anybody could start; its pull has brought it all the same. */
  discarded(stream: string, consumer: string): void {
    const lane = this.#byConsumer.get(laneKey(stream, consumer));
    if (lane !== undefined) this.#received(lane, false);
  }

  /** `last`: the broker had nothing more when it sent this. A batch's end is told by its status all the same. */
  #received(lane: Lane<Item>, last: boolean): void {
    lane.heardMs = this.#options.clock.monotonicMs();
    // Then an idle lane needs no pull for what is there now, and no answer that nothing is: half of the pulls of a trickle of tasks.
    // While all slots are taken none follows, so it would not be known any more when one is free.
    lane.dry = last && lane.phase === "standing" && !this.#full;
    lane.failures = 0;
    if (lane.phase === "standing") this.#end(lane);
    else if (lane.phase === "batch") {
      lane.wanted -= 1;
      if (lane.wanted === 0) this.#end(lane);
    }
    this.schedule();
  }

  /** Takes out an item that waits; false if it does not. */
  remove(item: Item): boolean {
    for (const lane of this.#lanes) {
      const at = lane.items.indexOf(item);
      if (at < 0) continue;
      lane.items.splice(at, 1);
      this.#lost(lane);
      return true;
    }
    return false;
  }

  /** A handler returned: its slot is free, and the pace is known a little better. */
  finished(): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#paceCount += 1;
    if (nowMs - this.#paceStartMs >= PACE_WINDOW_MS) {
      this.#pace = this.#paceCount / (nowMs - this.#paceStartMs);
      this.#paceStartMs = nowMs;
      this.#paceCount = 0;
    }
    this.schedule();
  }

  /** What the broker says about a pull. */
  onStatus(token: string, status: PullStatus): void {
    const lane = this.#byToken.get(token);
    if (lane === undefined) return;
    const nowMs = this.#options.clock.monotonicMs();
    lane.heardMs = nowMs;
    if (status.code === 100) return;
    // A pull for what is there now has got it all, or others get it: a standing pull brings the next one.
    const ended = status.code === 404 || status.code === 408;
    lane.dry = ended && !(this.#full && lane.phase === "standing");
    if (ended) lane.failures = 0;
    else this.#pause(lane, nowMs, status);
    this.#end(lane);
    this.schedule();
  }

  /** Looks for pulls that went silent, and wakes lanes whose pause is over. Call about twice a second. */
  check(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const lane of this.#lanes) {
      if (lane.phase === "idle") continue;
      if (nowMs - lane.heardMs > lane.silenceMs) this.#forget(lane);
    }
    this.schedule();
  }

  /** The connection was lost: the broker has forgotten all pulls. */
  disconnected(): void {
    for (const lane of this.#lanes) {
      this.#end(lane);
      // Nothing can come of it now: what is held may start.
      lane.dry = true;
    }
    this.schedule();
  }

  /** The connection is back: every lane is asked anew. */
  reconnected(): void {
    for (const lane of this.#lanes) lane.dry = false;
    this.schedule();
  }

  /** Sends no more pulls and gives out what waits. */
  stop(): Item[] {
    this.#stopped = true;
    return this.#lanes.flatMap((lane) => {
      const items = lane.items.splice(0);
      lane.held = 0;
      this.#held -= items.length;
      return items;
    });
  }

  /** Starts and pulls what there is room for, once all that arrived together has been taken in. */
  schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#stopped) return;
    const nowMs = this.#options.clock.monotonicMs();
    while (this.#options.freeSlots() > 0) {
      const index = nextStart(this.#lanes, this.#lastStarted, nowMs);
      const lane = this.#lanes[index];
      const item = lane?.items.shift();
      if (lane === undefined || item === undefined) break;
      this.#lost(lane);
      this.#lastStarted = index;
      this.#options.start(item);
    }
    // Behind the reports of handlers that returned at once, which leave in the same packet: their tasks end sooner.
    queueMicrotask(() => this.#pull());
  }

  #pull(): void {
    if (this.#stopped || !this.#options.link.connected) return;
    const limitMs = this.#options.link.pullLimitMs;
    if (limitMs < SHORTEST_MS) return;
    const nowMs = this.#options.clock.monotonicMs();
    const free = this.#options.freeSlots();
    // While all slots are taken no standing pull is sent, so what was known to be empty soon is not known any more.
    if (free <= 0 && !this.#full) for (const lane of this.#lanes) if (lane.phase === "idle") lane.dry = false;
    this.#full = free <= 0;
    const pulls = planPulls(this.#lanes, { free, ahead: this.#ahead(nowMs), nowMs, turn: this.#turn });
    if (pulls.length > 0) this.#turn += 1;
    for (const pull of pulls) {
      const lane = this.#lanes[pull.lane];
      if (lane === undefined) continue;
      lane.token = `p${(this.#tokens += 1)}`;
      lane.heardMs = nowMs;
      lane.phase = pull.kind;
      lane.wanted = pull.kind === "batch" ? pull.count : 0;
      this.#byToken.set(lane.token, lane);
      const { body, expiresMs, silenceMs } = pull.kind === "batch" ? batch(pull.count) : this.#standing(limitMs);
      lane.silenceMs = silenceMs;
      this.#options.link.pull(lane.subject, lane.token, body, expiresMs);
    }
  }

  #standing(limitMs: number): PullText {
    const usual = this.#options.link.clustered ? STANDING_IN_CLUSTER : STANDING_ALONE;
    if (usual.expiresMs <= limitMs) return usual;
    const expiresMs = Math.floor(limitMs);
    // The broker takes no sign of life that is longer than half of the pull.
    return standing({ expiresMs, heartbeatMs: Math.min(HEARTBEAT_MS, Math.floor(expiresMs / 2)) });
  }

  #ahead(nowMs: number): number {
    if (nowMs - this.#paceStartMs > 2 * PACE_WINDOW_MS) return 0;
    return Math.min(MAX_AHEAD, 4 * this.#options.concurrency, Math.floor(this.#pace * AHEAD_MS));
  }

  #pause(lane: Lane<Item>, nowMs: number, status: PullStatus): void {
    lane.failures += 1;
    const pauseMs = Math.min(MAX_PAUSE_MS, 125 * 2 ** Math.min(lane.failures, 6));
    lane.pausedUntilMs = nowMs + pauseMs * (0.5 + Math.random() / 2);
    const missing = status.code === 503 || /consumer (deleted|not found)/i.test(status.description);
    if (missing) this.#options.onLaneAway(lane.facts.consumer);
    if (missing && lane.failures >= 3) this.#options.onLaneMissing();
  }

  #forget(lane: Lane<Item>): void {
    lane.dry = false;
    this.#end(lane);
  }

  #end(lane: Lane<Item>): void {
    this.#byToken.delete(lane.token);
    lane.phase = "idle";
    lane.wanted = 0;
  }

  #lost(lane: Lane<Item>): void {
    lane.held = lane.items.length;
    this.#held -= 1;
  }
}

function newLane<Item>(facts: LaneFacts, items: Item[]): Lane<Item> {
  return {
    facts,
    subject: `$JS.API.CONSUMER.MSG.NEXT.${facts.stream}.${facts.consumer}`,
    priority: facts.priority,
    phase: "idle",
    wanted: 0,
    held: items.length,
    dry: false,
    pausedUntilMs: 0,
    suspended: false,
    items,
    token: "",
    heardMs: 0,
    silenceMs: 0,
    failures: 0,
  };
}

function standing({ expiresMs, heartbeatMs }: { readonly expiresMs: number; readonly heartbeatMs: number }): PullText {
  const body = JSON.stringify({ batch: 1, expires: expiresMs * 1_000_000, idle_heartbeat: heartbeatMs * 1_000_000 });
  // Two idle heartbeats and a little.
  return { body, expiresMs, silenceMs: 2 * heartbeatMs + 500 };
}

function batch(count: number): PullText {
  return { body: `{"batch":${count},"no_wait":true}`, expiresMs: BATCH_SILENCE_MS, silenceMs: BATCH_SILENCE_MS };
}

function laneKey(stream: string, consumer: string): string {
  return `${stream}/${consumer}`;
}
