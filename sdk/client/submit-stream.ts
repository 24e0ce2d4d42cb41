// Submits tasks as they come, over as many connections as it takes: what a lost connection left unanswered is sent again.
import type { Client } from "@connectrpc/connect";
import type { AgentService, SubmitTaskRequest, SubmitTaskStreamRequest } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { Message } from "@bufbuild/protobuf";
import type { BlobCalls } from "./blobs.ts";
import type { ResolvedOptions } from "./client-options.ts";
import { MycelError, abortError } from "./mycel-error.ts";
import { pause } from "../../lib/time/pause.ts";
import { delayBeforeTry, Refusals } from "./retry.ts";
import { type SubmitResult, prepareSubmission, resultOf, transientDelayMs } from "./submit.ts";
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
  const refusals = new Refusals(calls.options.renews);
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
          refusals.clear();
          lastAnswer = performance.now();
          const place = order[Number(index)];
          if (place === undefined) continue;
          const delayMs = transientDelayMs(result);
          if (delayMs !== undefined && source.sendAgain(place, delayMs, calls.options.timeoutMs)) continue;
          if (source.settle(place)) yield { index: place, ...resultOf(result) };
        }
        if (source.finished) return;
        throw new MycelError("unavailable", "the stream of submissions ended early", { reason: "CONNECTION_LOST" });
      } catch (error) {
        if (source.error !== undefined) throw source.error.cause;
        const aborted = calls.signals.find((signal) => signal.aborted);
        if (aborted !== undefined) throw abortError(aborted);
        if (!(error instanceof MycelError)) throw error;
        if (error.code !== "unavailable" && !refusals.mayGoOn(error.code)) throw error;
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

// A submission without an answer that stands.
interface Open {
  readonly task: SubmitTaskRequest;
  readonly since: number;
}

// The caller's tasks, read once whatever happens to connections, and those that are not answered yet.
class Source {
  /** What the caller's iterable threw. */
  error: { readonly cause: unknown } | undefined;
  readonly #tasks: AsyncIterator<TaskSubmission> | Iterator<TaskSubmission>;
  readonly #blobs: BlobCalls;
  readonly #unanswered = new Map<number, Open>();
  /** Refused for the moment, and due to be sent again. */
  #due: number[] = [];
  /** Refused for the moment, with the timers of their waits. */
  readonly #waiting = new Map<number, NodeJS.Timeout>();
  /** Read from the caller, and on its way to a connection. */
  #arrived: SubmitTaskRequest | undefined;
  #reading = false;
  #read = false;
  #count = 0;
  #changed = Promise.withResolvers<void>();

  constructor(tasks: AsyncIterable<TaskSubmission> | Iterable<TaskSubmission>, blobs: BlobCalls) {
    this.#tasks = Symbol.asyncIterator in tasks ? tasks[Symbol.asyncIterator]() : tasks[Symbol.iterator]();
    this.#blobs = blobs;
  }

  /** Whether everything was read and answered. */
  get finished(): boolean {
    return this.#read && this.#arrived === undefined && this.#unanswered.size === 0;
  }

  /** Takes an answer; false if there was one already. */
  settle(place: number): boolean {
    const open = this.#unanswered.delete(place);
    if (this.finished) this.#tell();
    return open;
  }

  /** Has a submission sent again after a wait; false if that would be later than a call of its own may last. */
  sendAgain(place: number, delayMs: number, timeoutMs: number): boolean {
    const open = this.#unanswered.get(place);
    if (open === undefined || performance.now() + delayMs - open.since > timeoutMs) return false;
    const due = (): void => {
      this.#waiting.delete(place);
      this.#due.push(place);
      this.#tell();
    };
    this.#waiting.set(place, setTimeout(due, delayMs));
    return true;
  }

  /** What to send on one connection: what is unanswered, then what comes; open until everything is answered. */
  async *requests(order: number[], over: AbortSignal): AsyncGenerator<Omit<SubmitTaskStreamRequest, keyof Message>> {
    over.addEventListener("abort", () => this.#tell(), { once: true });
    // What was refused waits on, whatever the connection.
    let due = [...this.#unanswered.keys()].filter((place) => !this.#waiting.has(place));
    this.#due = [];
    for (;;) {
      for (const place of due) {
        const open = this.#unanswered.get(place);
        if (open === undefined) continue;
        order.push(place);
        yield { task: open.task };
      }
      due = this.#due;
      this.#due = [];
      if (due.length > 0) continue;
      if (this.error !== undefined) throw this.error.cause;
      if (over.aborted || this.finished) return;
      if (this.#arrived === undefined) {
        const changed = this.#changed.promise;
        if (!this.#read && !this.#reading) void this.#readOn();
        await changed;
        continue;
      }
      const place = this.#count++;
      this.#unanswered.set(place, { task: this.#arrived, since: performance.now() });
      this.#arrived = undefined;
      due = [place];
    }
  }

  /** Tells the caller's iterable that nobody reads on. */
  close(): void {
    for (const timer of this.#waiting.values()) clearTimeout(timer);
    if (!this.#read) void Promise.resolve(this.#tasks.return?.()).catch(() => undefined);
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  /** Reads the next task. The connection that wanted it may be gone when it comes; then the next one takes it. */
  async #readOn(): Promise<void> {
    this.#reading = true;
    try {
      const next = await this.#tasks.next();
      if (next.done === true) this.#read = true;
      else this.#arrived = await prepareSubmission(this.#blobs, next.value, undefined);
    } catch (error) {
      this.error = { cause: error };
    }
    this.#reading = false;
    this.#tell();
  }
}
