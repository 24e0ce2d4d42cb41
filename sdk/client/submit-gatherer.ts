// Sends submissions that are made at the same time in one call, with an answer for each. Decides what travels together, and nothing else:
// what a call of many does not answer as a call of its own would is left to a call of its own.
// A submission alone costs the client 120 µs of processor time and the coordinator 160; with others, 30 and 100.
import { setImmediate } from "node:timers";
import type { SubmitTaskRequest, SubmitTaskResponse } from "../../gen/mycel/v1/agent_service_pb.ts";
import { MycelError, toMycelError } from "./mycel-error.ts";
import { REFUSALS } from "./retry.ts";
import type { SubmitCalls } from "./submit.ts";

/** A submission that is ready to be sent. */
export interface Submission {
  readonly request: SubmitTaskRequest;
  /** How many bytes it has on the wire at most; Infinity if nobody knows. */
  readonly mostBytes: number;
}

/**
 * An answer; the error of the call that all had in common; or that only a call of its own can tell: the first, or one after a call that may
 * have submitted it.
 */
export type Verdict = SubmitTaskResponse | MycelError | "alone" | "again";

/**
 * How many tasks travel together. From 64 on, a coordinator stores them as one atomic batch, for which all wait some milliseconds: that
 * makes less work, and with 256 callers a quarter less of it gets done.
 */
const MOST_TASKS = 50;
/** As large as a submission may be, so that not much time passes before the first is sent: a full call stays below 1 MiB. */
const MOST_BYTES = 16_384;

/** What failed here failed for whoever sent alone, too, and was tried again for as long. */
const COMMON: ReadonlySet<string> = new Set(["unavailable", "deadline_exceeded", "canceled"]);

/** Gathers what is submitted in one turn of the event loop. */
export class SubmitGatherer {
  readonly #calls: Pick<SubmitCalls, "rpc" | "options">;
  #waiting: Waiting[] = [];

  constructor(calls: Pick<SubmitCalls, "rpc" | "options">) {
    this.#calls = calls;
  }

  /** Submits with others; alone if there are none, if it is large, or if its id is that of another one. Never rejects. */
  submit({ request, mostBytes }: Submission, signal: AbortSignal | undefined): Promise<Verdict> {
    if (mostBytes > MOST_BYTES || signal?.aborted === true) return Promise.resolve("alone");
    const waiting = new Waiting(request, signal);
    // node:timers' own, as tests of users may have replaced the global one.
    if (this.#waiting.push(waiting) === 1) setImmediate(() => this.#send());
    return waiting.verdict;
  }

  #send(): void {
    const waiting = this.#waiting.filter(({ isLeft }) => !isLeft);
    this.#waiting = [];
    const known = new Set<string>();
    const twins: Waiting[] = [];
    const distinct = waiting.filter((each) => {
      const { size } = known;
      if (known.add(each.id).size > size) return true;
      twins.push(each);
      return false;
    });
    const sent: Promise<void>[] = [];
    for (let at = 0; at < distinct.length; at += MOST_TASKS) {
      sent.push(this.#sendTogether(distinct.slice(at, at + MOST_TASKS)));
    }
    // The first of an id comes first.
    if (twins.length > 0) void Promise.all(sent).then(() => twins.forEach((twin) => twin.settle("alone")));
  }

  async #sendTogether(batch: readonly Waiting[]): Promise<void> {
    if (batch.length === 1) {
      batch[0]?.settle("alone");
      return;
    }
    const { rpc, options } = this.#calls;
    const deadline = performance.now() + options.timeoutMs;
    try {
      const { results } = await rpc.batchSubmitTasks({ tasks: batch.map(({ request }) => request) });
      batch.forEach((each, at) => {
        const result = results[at]?.result;
        // An item's error says less than a call's.
        const isRefused = result?.case === "error" && REFUSALS.has(result.value.code);
        each.settle(result?.case === "submitted" ? result.value : isRefused ? "alone" : "again");
      });
    } catch (error) {
      const failure = toMycelError(error);
      const isCommon = COMMON.has(failure.code) || performance.now() >= deadline;
      for (const each of batch) each.settle(isCommon ? failure : failure.unaccepted ? "alone" : "again");
    }
  }
}

/** A submission until its verdict. */
class Waiting {
  readonly request: SubmitTaskRequest;
  readonly #signal: AbortSignal | undefined;
  readonly #settled = Promise.withResolvers<Verdict>();
  readonly #leave = (): void => this.settle("alone");
  #isLeft = false;

  constructor(request: SubmitTaskRequest, signal: AbortSignal | undefined) {
    this.request = request;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#leave);
  }

  get verdict(): Promise<Verdict> {
    return this.#settled.promise;
  }

  /** Whether nobody waits any more. */
  get isLeft(): boolean {
    return this.#isLeft;
  }

  /** What the mesh knows it by: a call of many takes each of them once. */
  get id(): string {
    const { taskId, requestId } = this.request;
    return taskId === "" ? `request ${requestId}` : `task ${taskId}`;
  }

  settle(verdict: Verdict): void {
    this.#isLeft = true;
    this.#signal?.removeEventListener("abort", this.#leave);
    this.#settled.resolve(verdict);
  }
}
