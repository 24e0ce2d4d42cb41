// Decides, without I/O, what an agent pulls and what it starts next: strict between priorities, in turn within one.

/** What is known of one lane (a queue at a priority). The puller keeps it; this module only reads it. */
export interface LaneState {
  readonly priority: number;
  /** What is asked of the broker: nothing, one message whenever it comes, or what is there now. */
  phase: "idle" | "standing" | "batch";
  /** How many messages a batch pull may still bring. */
  wanted: number;
  /** How many messages have come and are not started. */
  held: number;
  /** Whether the broker said that nothing more is there, instead of a message or with the last one that came. */
  dry: boolean;
  /** Not pulled before this, after an error. */
  pausedUntilMs: number;
  /** Neither pulled nor started from until the next session: its consumer may be another one than the session told of. */
  suspended: boolean;
}

/** What room there is for more work. */
export interface Room {
  /** Slots in which no handler runs. */
  readonly free: number;
  /** How many messages may be held beyond the free slots, so that tiny tasks need not wait for a round trip. */
  readonly ahead: number;
  readonly nowMs: number;
  /** Grows by one with each plan: whose turn it is among equals. */
  readonly turn: number;
}

/** One pull to send. */
export type Pull =
  | { readonly lane: number; readonly kind: "standing" }
  | { readonly lane: number; readonly kind: "batch"; readonly count: number };

/**
 * Plans the pulls for the room there is. `lanes` must be ordered by priority, highest first.
 *
 * A lane of which it is not known that it is empty is asked for what is there now, and until it has answered nothing is asked of lower
 * lanes. A lane known to be empty gets a standing pull for one message, while slots are free. What lower lanes hold takes no room from
 * higher ones: work that has just become urgent must not wait for what was fetched before.
 */
export function planPulls(lanes: readonly LaneState[], room: Room): Pull[] {
  const pulls: Pull[] = [];
  let { free } = room;
  let open = room.free + room.ahead;
  for (let from = 0; from < lanes.length && open > 0;) {
    const end = groupEnd(lanes, from);
    let asking = 0;
    let unresolved = false;
    for (const lane of lanes.slice(from, end)) {
      const used = lane.held + (lane.phase === "batch" ? lane.wanted : 0);
      free -= used;
      open -= used;
      if (!mayHaveMore(lane, room.nowMs)) continue;
      unresolved = true;
      if (lane.phase === "idle") asking += 1;
    }
    const size = end - from;
    for (let step = 0; step < size; step++) {
      const index = from + ((room.turn + step) % size);
      const lane = lanes[index];
      if (lane === undefined || lane.phase !== "idle" || lane.suspended || lane.pausedUntilMs > room.nowMs) continue;
      if (lane.dry) {
        if (free > 0) pulls.push({ lane: index, kind: "standing" });
        continue;
      }
      const count = Math.ceil(open / asking);
      asking -= 1;
      if (count <= 0) continue;
      pulls.push({ lane: index, kind: "batch", count });
      open -= count;
      free -= count;
    }
    if (unresolved) break;
    from = end;
  }
  return pulls;
}

/**
 * Names the lane whose oldest held message goes into the next free slot, or -1 if none may be started now: while a lane may have more,
 * lower ones wait. `lastStarted` is the lane that this function named last, -1 at first.
 */
export function nextStart(lanes: readonly LaneState[], lastStarted: number, nowMs: number): number {
  for (let from = 0; from < lanes.length;) {
    const end = groupEnd(lanes, from);
    const size = end - from;
    const first = lastStarted >= from && lastStarted < end ? lastStarted + 1 - from : 0;
    let unresolved = false;
    for (let step = 0; step < size; step++) {
      const index = from + ((first + step) % size);
      const lane = lanes[index];
      if (lane === undefined || lane.suspended) continue;
      if (lane.held > 0) return index;
      unresolved ||= mayHaveMore(lane, nowMs);
    }
    if (unresolved) return -1;
    from = end;
  }
  return -1;
}

function groupEnd(lanes: readonly LaneState[], from: number): number {
  const priority = lanes[from]?.priority;
  let end = from + 1;
  while (end < lanes.length && lanes[end]?.priority === priority) end += 1;
  return end;
}

// A lane that pauses after an error, or is suspended, does not hold up the others.
function mayHaveMore(lane: LaneState, nowMs: number): boolean {
  if (lane.suspended) return false;
  return lane.phase === "batch" || (lane.phase === "idle" && !lane.dry && lane.pausedUntilMs <= nowMs);
}
