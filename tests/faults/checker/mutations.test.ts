// The checker against every small lie: each single field of a run that matters is changed, one at a time, and none of them may pass.
import { expect, test } from "vitest";
import type { HistoryEntry } from "../history.ts";
import { randomFrom } from "../random.ts";
import { check } from "./check.ts";
import type { Mutable, SampleLog, SampleRun } from "./trial/sample-run.ts";
import { longRun } from "./trial/sample-stories.ts";

const SEEDS = [1, 2, 3, 4, 5, 6];
const TASKS = 14;

type Event = Mutable<SampleLog["events"][number]>;
type Dispatch = Mutable<SampleLog["dispatches"][number]>;
type Entry<What extends HistoryEntry["what"]> = Mutable<Extract<HistoryEntry, { what: What }>>;

const STATES = ["working", "backing_off", "completed", "failed", "canceled", "timed_out"];

/** What may not happen to any event of any task. */
const EVENT_LIES: Readonly<Record<string, (event: Event, all: Event[]) => void>> = {
  "expects another event": (event) => (event.expected! += 1),
  "expects nothing": (event) => (event.expected = undefined),
  "is of another attempt": (event) => (event.attempt += 1),
  "is of another agent": (event) => (event.agentId = "somebody-else"),
  "ends another attempt": (event) => (event.endedAttempt += 1),
  "belongs to another work item": (event) => (event.dispatchSequence -= 0.5),
  "names an output that does not exist": (event) => (event.outputSequence += 0.5),
  "is gone": (event, all) => all.splice(all.indexOf(event), 1),
  "stands twice": (event, all) => all.splice(all.indexOf(event), 0, { ...event, sequence: event.sequence - 0.5 }),
  ...Object.fromEntries(
    STATES.map((state) => [
      `is ${state}`,
      (event: Event) => {
        if (event.state === state) event.expected = undefined;
        event.state = state;
      },
    ]),
  ),
};

/** What may not happen to any work item. */
const DISPATCH_LIES: Readonly<Record<string, (dispatch: Dispatch, all: Dispatch[]) => void>> = {
  "expects another work item": (dispatch) => (dispatch.expected! += 1),
  "carries another fence": (dispatch) => (dispatch.fence += 1),
  "is gone": (dispatch, all) => all.splice(all.indexOf(dispatch), 1),
  "stands twice": (dispatch, all) =>
    all.splice(all.indexOf(dispatch), 0, { ...dispatch, sequence: dispatch.sequence - 0.5 }),
};

/** What may not happen to anything that a client is told. */
const TOLD_LIES: Readonly<Record<string, (told: Entry<"told">) => void>> = {
  "is told of another attempt": (told) => (told.attempt += 1),
  "is told of another agent": (told) => (told.agentId = "somebody-else"),
  "is told of another end": (told) => (told.state = told.state === "timed_out" ? "failed" : "timed_out"),
};

/** What may not happen to any state or chunk that a reader gets. */
const READ_LIES: Readonly<Record<string, (read: Entry<"read">, all: HistoryEntry[]) => void>> = {
  "is lost": (read, all) => all.splice(all.indexOf(read), 1),
  "comes twice": (read, all) => all.splice(all.indexOf(read), 0, { ...read }),
  "comes as one later": (read) => (read.sequence += 1),
  "comes as one earlier": (read) => (read.sequence -= 1),
  "is of another attempt": (read) => (read.attempt! += 1),
  "is of another agent": (read) => (read.agentId = "somebody-else"),
  "says something else": (read) => {
    if (read.kind === "chunk") read.index! += 1;
    else read.state = read.state === "timed_out" ? "failed" : "timed_out";
  },
};

/** Tells a lie of a fresh copy of a run, about its n-th thing of a kind; whether it was found. */
function isFound(seed: number, lie: (run: SampleRun) => void): boolean {
  const run = longRun(randomFrom(seed), TASKS);
  lie(run);
  return check(run.history, run.log).violations.length > 0;
}

function eventsOf({ log }: SampleRun): { readonly item: Event; readonly all: Event[] }[] {
  return [...log.tasks.values()].flatMap(({ events }) => events.map((item) => ({ item, all: events })));
}

function dispatchesOf({ log }: SampleRun): { readonly item: Dispatch; readonly all: Dispatch[] }[] {
  return [...log.tasks.values()].flatMap(({ dispatches }) => dispatches.map((item) => ({ item, all: dispatches })));
}

function toldOf({ history }: SampleRun): { readonly item: Entry<"told">; readonly all: HistoryEntry[] }[] {
  return history.filter((entry) => entry.what === "told").map((item) => ({ item, all: history }));
}

function readsOf({ history }: SampleRun): { readonly item: Entry<"read">; readonly all: HistoryEntry[] }[] {
  const reads = history.filter((entry) => entry.what === "read");
  return reads.filter(({ kind }) => kind === "state" || kind === "chunk").map((item) => ({ item, all: history }));
}

/** The places at which a lie passed. */
function passed<Item>(
  itemsOf: (run: SampleRun) => { readonly item: Item; readonly all: Item[] | HistoryEntry[] }[],
  lie: (item: Item, all: never) => void,
): string[] {
  return SEEDS.flatMap((seed) => {
    const count = itemsOf(longRun(randomFrom(seed), TASKS)).length;
    expect(count).toBeGreaterThan(5);
    const places = Array.from({ length: count }, (_, at) => at);
    const missed = places.filter(
      (at) =>
        !isFound(seed, (run) => {
          const { item, all } = itemsOf(run)[at]!;
          lie(item, all as never);
        }),
    );
    return missed.map((at) => `seed ${seed}, place ${at}`);
  });
}

test.for(Object.entries(EVENT_LIES))("no event %s unseen", ([, lie]) => {
  expect(passed(eventsOf, lie)).toEqual([]);
});

test.for(Object.entries(DISPATCH_LIES))("no work item %s unseen", ([, lie]) => {
  expect(passed(dispatchesOf, lie)).toEqual([]);
});

test.for(Object.entries(TOLD_LIES))("no client %s unseen", ([, lie]) => {
  expect(passed(toldOf, lie)).toEqual([]);
});

test.for(Object.entries(READ_LIES))("no message to a reader %s unseen", ([, lie]) => {
  expect(passed(readsOf, lie)).toEqual([]);
});
