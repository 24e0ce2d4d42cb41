// A caller without any resilience: one generated gRPC client, one small task a call, no retry. What fails here is what the mesh itself
// refuses during a fault.
import { pause } from "../../../lib/time/pause.ts";
import { toMycelError } from "../../../sdk/client/mycel-error.ts";
import { agentClient, json } from "../../support/task-calls.ts";
import { monotonicMs } from "../history.ts";
import type { Journal } from "./journal.ts";

/** A call that failed. */
interface Failure {
  readonly startedAt: number;
  readonly at: number;
  readonly reason: string;
}

/** Calls at a steady pace. */
export interface PlainCaller extends AsyncDisposable {
  /** Calls that were answered with yes. */
  readonly answered: number;
  /** From the first call that failed until the end of the last one, of failures less than 5 s apart; the longest of them. */
  readonly longestOutageMs: number;
  /** How long the slowest call that was answered took. */
  readonly slowestMs: number;
  /** Different reasons of failures, with how often they came. */
  readonly reasons: ReadonlyMap<string, number>;
}

const EVERY_MS = 100;
const DEADLINE_MS = 15_000;
const SAME_OUTAGE_MS = 5_000;

/** Calls each of the coordinators in turn. */
export function startPlainCaller(urls: readonly string[], journal: Journal, prefix: string): PlainCaller {
  const clients = urls.map(agentClient);
  const stop = new AbortController();
  const failures: Failure[] = [];
  const under = new Set<Promise<void>>();
  let answered = 0;
  let slowestMs = 0;

  const call = async (number: number): Promise<void> => {
    const client = clients[number % clients.length];
    const startedAt = monotonicMs();
    const task = { client: "plain", taskId: `${prefix}-plain-${number}`, type: "quick", maximumAttempts: 8 };
    const { taskId, type } = task;
    try {
      const retryPolicy = { maximumAttempts: 8, initialInterval: { nanos: 100_000_000 } };
      await client?.submitTask({ taskId, type, input: json({}), retryPolicy }, { timeoutMs: DEADLINE_MS });
      journal.left(task, startedAt, false);
      answered += 1;
      slowestMs = Math.max(slowestMs, monotonicMs() - startedAt);
    } catch (error) {
      const failure = toMycelError(error);
      failures.push({ startedAt, at: monotonicMs(), reason: failure.reason ?? failure.code });
      journal.leftOpen(task, startedAt, failure);
    }
  };

  const calling = (async (): Promise<void> => {
    for (let number = 0; await pause(number === 0 ? 0 : EVERY_MS, stop.signal); number += 1) {
      const one = call(number).finally(() => under.delete(one));
      under.add(one);
    }
  })();

  return {
    get answered() {
      return answered;
    },
    get slowestMs() {
      return slowestMs;
    },
    get longestOutageMs() {
      let longest = 0;
      let begin: number | undefined;
      let end = -Infinity;
      for (const { startedAt, at } of failures.toSorted((a, b) => a.startedAt - b.startedAt)) {
        if (begin === undefined || startedAt - end > SAME_OUTAGE_MS) begin = startedAt;
        end = Math.max(end, at);
        longest = Math.max(longest, end - begin);
      }
      return longest;
    },
    get reasons() {
      const counts = new Map<string, number>();
      for (const { reason } of failures) counts.set(reason, (counts.get(reason) ?? 0) + 1);
      return counts;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await calling;
      await Promise.all(under);
    },
  };
}
