// The promise of StreamResults: one sequence for every reader, whatever the broker does to live messages and wherever one begins.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ResultKind, type StreamResultsResponse } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { type Position, START } from "../../../lib/core/result-order.ts";
import { decodeCursor } from "../../../lib/wire/cursor.ts";
import type { TaskRecord } from "../../../lib/wire/task-codec.ts";
import { ResultReader } from "../../../services/coordinator/results/result-reader.ts";
import { type Faults, History, type Random, randomHistory, randomOf, SimulatedTask } from "./simulated-task.ts";

const clock = { now: () => 0, monotonicMs: () => 0 };
const FAITHFUL: Faults = { lost: 0, repeated: 0, late: 0, lagging: 0 };
const WILD: Faults = { lost: 0.25, repeated: 0.2, late: 0.2, lagging: 0.2 };

async function read(
  task: SimulatedTask,
  position: Position,
  kinds: readonly ResultKind[] = [],
  stored?: TaskRecord,
): Promise<StreamResultsResponse[]> {
  const found: StreamResultsResponse[] = [];
  const options = { source: task, waits: task, clock, position, stored, keepAliveMs: 15_000, patienceMs: 1_000 };
  for await (const message of new ResultReader({ ...options, kinds: new Set(kinds) }).read()) found.push(message);
  return found;
}

function keysOf(history: History, messages: readonly StreamResultsResponse[]): string[] {
  return messages.flatMap((message) => {
    const { kind } = message;
    const position = decodeCursor("default", "t-1", message.cursor)!;
    if (kind.case === "stateChange") return [`e${position.event}`];
    if (kind.case !== "output") return [];
    const { attempt, agentId, output } = kind.value;
    const before = history.outputs.filter(({ subject }) => subject === `${agentId}.${attempt}`);
    // The message after the position, unless all of it was delivered: then it is the one at the position.
    const sequence =
      position.item === 0
        ? position.output
        : before.find(({ message }) => message.link.sequence > position.output)!.message.link.sequence;
    return [`o${agentId}.${attempt}:${sequence}:${output!.index}`];
  });
}

const seeds = fc.integer({ min: 0, max: 2 ** 31 });

describe("a reader of results", () => {
  test("gets the same sequence late, and live while messages are lost, repeated, late and replicas lag", async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.double({ min: 0, max: 1, noNaN: true }), async (seed, share) => {
        const random: Random = randomOf(seed);
        const history = randomHistory(random);
        const right = history.canonical();
        const late = await read(new SimulatedTask(history, history.steps.length, random, FAITHFUL), START);
        expect(keysOf(history, late)).toEqual(right);
        expect(late.slice(1).map(({ sequence }) => Number(sequence))).toEqual(right.map((_, i) => i + 1));
        const written = Math.floor(share * history.steps.length);
        for (const faults of [FAITHFUL, WILD]) {
          const live = await read(new SimulatedTask(history, written, random, faults), START);
          expect(keysOf(history, live)).toEqual(right);
          expect(live.map(({ cursor, sequence }) => [cursor, sequence])).toEqual(
            late.map(({ cursor, sequence }) => [cursor, sequence]),
          );
        }
      }),
      { numRuns: 400 },
    );
  });

  test("of a new task gets the same sequence without looking into its past", async () => {
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const random: Random = randomOf(seed);
        const history = randomHistory(random);
        for (const faults of [FAITHFUL, WILD]) {
          const task = new SimulatedTask(history, 0, random, faults);
          const live = await read(task, START, [], await task.record());
          expect(live[0]!.kind.case).toBe("snapshot");
          expect(keysOf(history, live)).toEqual(history.canonical());
        }
      }),
      { numRuns: 200 },
    );
  });

  test("resumed at any of its cursors gets exactly what remains", async () => {
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const random = randomOf(seed);
        const history = randomHistory(random);
        const all = await read(new SimulatedTask(history, 0, random, WILD), START);
        for (const [i, { cursor }] of all.entries()) {
          const position = decodeCursor("default", "t-1", cursor)!;
          const eventAt = history.steps.findIndex(
            (step) => "event" in step && step.event.link.sequence >= position.event,
          );
          const outputAt = history.steps.findLastIndex(
            (step) => "output" in step && step.output.message.link.sequence <= position.output,
          );
          const itemAt = position.item === 0 ? 0 : history.steps.length;
          // A cursor in hand means that what it covers is written.
          const least = Math.max(eventAt + 1, outputAt + 1, itemAt);
          const rest = await read(new SimulatedTask(history, least, random, WILD), position);
          expect(rest[0]!.kind.case).toBe("snapshot");
          expect(rest[0]!.cursor).toBe(cursor);
          expect(keysOf(history, rest)).toEqual(keysOf(history, all.slice(i + 1)));
          expect(rest.slice(1)).toEqual(all.slice(i + 1));
        }
      }),
      { numRuns: 100 },
    );
  });

  test("who asks for some kinds only gets these and the end, with the same numbers and cursors", async () => {
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const random = randomOf(seed);
        const history = randomHistory(random);
        const all = await read(new SimulatedTask(history, 0, random, WILD), START);
        const chunks = await read(new SimulatedTask(history, 0, random, WILD), START, [ResultKind.CHUNK]);
        const end = all.length - 1;
        expect(chunks).toEqual(all.filter(({ kind }, i) => kind.case !== "stateChange" || i === end));
      }),
      { numRuns: 50 },
    );
  });

  test("waits behind a fence, and gets what follows it only if the end names it", async () => {
    const run = { agentId: "a", attempt: 1 };
    const ended = { endedAttempt: 1, endedAgentId: "a" };
    const build = (counts: boolean): History => {
      const history = new History();
      history.event({ state: 2, attempt: 1, agentId: "a" });
      const first = history.output(run, 0, [1]);
      history.output(run, 0, [], true);
      const second = history.output(run, 0, [2]);
      history.event({ state: 3, ...ended, outputSequence: BigInt(counts ? second : first) });
      return history;
    };
    for (const [counts, length] of [
      [true, 4],
      [false, 3],
    ] as const) {
      const history = build(counts);
      // Everything up to the zombie is written and live; only then comes the event.
      const messages = await read(new SimulatedTask(history, 0, randomOf(1), FAITHFUL), START);
      expect(messages.slice(1)).toHaveLength(length);
      expect(keysOf(history, messages)).toEqual(history.canonical());
    }
  });
});
