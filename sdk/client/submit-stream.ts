// Submits tasks as they come, over as many connections as it takes: what a lost connection left unanswered is sent again.
import type { Client } from "@connectrpc/connect";
import type { AgentService, SubmitTaskRequest, SubmitTaskStreamRequest } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { Message } from "@bufbuild/protobuf";
import type { BlobCalls } from "./blobs.ts";
import type { ResolvedOptions } from "./client-options.ts";
import { MycelError, abortError } from "./mycel-error.ts";
import { pause } from "../../lib/time/pause.ts";
import { delayBeforeTry } from "./retry.ts";
import { type SubmitResult, prepareSubmission, resultOf } from "./submit.ts";
import type { TaskSubmission } from "./submission.ts";

/** The answer to one submission of a stream. */
export type SubmitAck = SubmitResult & {
  /** Which task this answers, counted from 0. Answers may come in another order than the tasks. */
  readonly index: number;
};

/** What a stream of submissions needs. */
export interface SubmitStreamOptions {
  readonly rpc: Pick<Client<typeof AgentService>, "submitTaskStream">;
  readonly blobs: BlobCalls;
  readonly options: ResolvedOptions;
  readonly servers: number;
  /** Aborted by the caller or with the client. */
  readonly signals: readonly AbortSignal[];
}

/** Submits tasks; yields one answer for each. An error of the caller's own iterable comes out as it is. */
export async function* submitStream(
  tasks: AsyncIterable<TaskSubmission> | Iterable<TaskSubmission>,
  calls: SubmitStreamOptions,
): AsyncGenerator<SubmitAck, void, undefined> {
  const source = new Source(tasks, calls.blobs);
  let failures = 0;
  let lastAnswer = performance.now();
  try {
    for (;;) {
      const stop = new AbortController();
      // The place of each request on this connection, since its indexes begin anew.
      const order: number[] = [];
      try {
        const signal = AbortSignal.any([stop.signal, ...calls.signals]);
        for await (const { index, result } of calls.rpc.submitTaskStream(source.requests(order, stop.signal), {
          signal,
        })) {
          failures = 0;
          lastAnswer = performance.now();
          const place = order[Number(index)];
          if (place === undefined || !source.settle(place)) continue;
          yield { index: place, ...resultOf(result) };
        }
        if (source.finished) return;
        throw new MycelError("unavailable", "the stream of submissions ended early", { reason: "CONNECTION_LOST" });
      } catch (error) {
        if (source.error !== undefined) throw source.error.cause;
        const aborted = calls.signals.find((signal) => signal.aborted);
        if (aborted !== undefined) throw abortError(aborted);
        if (!(error instanceof MycelError) || error.code !== "unavailable") throw error;
        failures += 1;
        const delayMs = delayBeforeTry({ kind: "lost" }, failures, calls.servers, Math.random());
        const spent = performance.now() + delayMs - lastAnswer > calls.options.reconnectTimeoutMs;
        if (spent || failures >= calls.options.maximumTries) throw error;
        await pause(delayMs, ...calls.signals);
      } finally {
        stop.abort();
      }
    }
  } finally {
    source.close();
  }
}

// The caller's tasks, read once whatever happens to connections, and those that are not answered yet.
class Source {
  /** What the caller's iterable threw. */
  error: { readonly cause: unknown } | undefined;
  readonly #tasks: AsyncIterator<TaskSubmission> | Iterator<TaskSubmission>;
  readonly #blobs: BlobCalls;
  readonly #unanswered = new Map<number, SubmitTaskRequest>();
  #upcoming: Promise<SubmitTaskRequest | undefined> | undefined;
  #count = 0;
  #read = false;

  constructor(tasks: AsyncIterable<TaskSubmission> | Iterable<TaskSubmission>, blobs: BlobCalls) {
    this.#tasks = Symbol.asyncIterator in tasks ? tasks[Symbol.asyncIterator]() : tasks[Symbol.iterator]();
    this.#blobs = blobs;
  }

  /** Whether everything was read and answered. */
  get finished(): boolean {
    return this.#read && this.#unanswered.size === 0;
  }

  /** Takes an answer; false if there was one already. */
  settle(place: number): boolean {
    return this.#unanswered.delete(place);
  }

  /** What to send on one connection: what is unanswered, then what comes. */
  async *requests(order: number[], over: AbortSignal): AsyncGenerator<Omit<SubmitTaskStreamRequest, keyof Message>> {
    for (const [place, task] of this.#unanswered) {
      order.push(place);
      yield { task };
    }
    while (!this.#read) {
      this.#upcoming ??= this.#next();
      const task = await this.#upcoming;
      // The next connection takes what this one has been waiting for.
      if (over.aborted) return;
      this.#upcoming = undefined;
      if (task === undefined) {
        this.#read = true;
        return;
      }
      const place = this.#count++;
      this.#unanswered.set(place, task);
      order.push(place);
      yield { task };
    }
  }

  /** Tells the caller's iterable that nobody reads on. */
  close(): void {
    if (!this.#read) void Promise.resolve(this.#tasks.return?.()).catch(() => undefined);
  }

  async #next(): Promise<SubmitTaskRequest | undefined> {
    try {
      const next = await this.#tasks.next();
      return next.done === true ? undefined : await prepareSubmission(this.#blobs, next.value, undefined);
    } catch (error) {
      this.error = { cause: error };
      throw error;
    }
  }
}
