// Owns the way of reports to the coordinators: many in one request, a few requests at once, each report repeated until it is answered.
// It knows what a report weighs, not what it says.
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { type ReportResult, ReportResponseSchema } from "../../gen/mycel/v1/agent_protocol_pb.ts";
import { MAX_REPORTS } from "../../lib/core/limits.ts";
import type { Clock } from "../../lib/core/clock.ts";
import type { Logger } from "../../lib/core/logger.ts";
import { msFromDuration } from "../../lib/wire/time-codec.ts";
import type { TraceCarrier } from "../../lib/wire/trace-context.ts";
import type { Link } from "./link.ts";
import { encodeReports, type Report, weightOf } from "./report-codec.ts";

/** What became of a report. */
export type ReportAnswer =
  | { readonly kind: "accepted"; readonly fence: bigint; readonly attempt: number; readonly leaseToken: string }
  | { readonly kind: "dropped"; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string; readonly message: string }
  /** No coordinator answered for so long that the report was given up, or the agent was closed. */
  | { readonly kind: "abandoned" };

/** What the reporter needs. */
export interface ReporterOptions {
  readonly link: Pick<Link, "request" | "connected">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where reports go. A function, since a new registration may change it. */
  readonly subject: () => string;
  /** How long one request may take before it is sent again. */
  readonly requestTimeoutMs: number;
  /** How long a report is repeated before it is given up. */
  readonly giveUpMs: number;
}

interface Pending {
  readonly report: Report;
  readonly carrier: TraceCarrier | undefined;
  readonly sinceMs: number;
  readonly onAnswer: (answer: ReportAnswer) => void;
  failures: number;
}

const MAX_BYTES = 700 * 1024;
const MAX_IN_FLIGHT = 4;
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 2_000;
const ABANDONED: ReportAnswer = { kind: "abandoned" };

/** Sends reports. */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #writer = new BinaryWriter();
  #queue: Pending[] = [];
  readonly #waiting = new Map<NodeJS.Timeout, Pending[]>();
  #inFlight = 0;
  #scheduled = false;
  #closed = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** Sends a report. Its answer comes once, whatever happens; a callback, as promises would cost more than all else here. */
  send(report: Report, onAnswer: (answer: ReportAnswer) => void, carrier?: TraceCarrier): void {
    if (this.#closed) {
      onAnswer(ABANDONED);
      return;
    }
    this.#queue.push({ report, carrier, sinceMs: this.#options.clock.monotonicMs(), onAnswer, failures: 0 });
    this.#schedule();
  }

  /** The connection is back: sends what waits. */
  resume(): void {
    for (const [timer, batch] of this.#waiting) {
      clearTimeout(timer);
      this.#queue.push(...batch);
    }
    this.#waiting.clear();
    this.#schedule();
  }

  /** Gives up whatever is not answered. */
  close(): void {
    this.#closed = true;
    for (const [timer, batch] of this.#waiting) {
      clearTimeout(timer);
      this.#queue.push(...batch);
    }
    this.#waiting.clear();
    for (const pending of this.#queue.splice(0)) tell(pending, ABANDONED);
  }

  // What ends together travels together, and nothing waits for a clock: while nothing is on its way, behind what runs now, so that the first
  // report leaves with the pull for the next task; else after the I/O of this turn.
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const flush = (): void => {
      this.#scheduled = false;
      this.#flush();
    };
    if (this.#inFlight === 0) queueMicrotask(flush);
    else setImmediate(flush);
  }

  #flush(): void {
    while (this.#queue.length > 0 && this.#inFlight < MAX_IN_FLIGHT && this.#options.link.connected && !this.#closed) {
      this.#inFlight += 1;
      void this.#deliver(this.#take());
    }
    if (this.#queue.length > 0 && !this.#options.link.connected && !this.#closed) {
      // Nothing is lost by waiting, but what is too old must still be given up.
      this.#repeatLater(this.#queue.splice(0), MAX_BACKOFF_MS);
    }
  }

  #take(): Pending[] {
    let bytes = 0;
    let count = 0;
    for (const pending of this.#queue) {
      bytes += weightOf(pending.report);
      if (count > 0 && (count === MAX_REPORTS || bytes > MAX_BYTES)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #deliver(batch: Pending[]): Promise<void> {
    const { link, subject, requestTimeoutMs } = this.#options;
    try {
      const only = batch.length === 1 ? batch[0]?.carrier : undefined;
      const reports = batch.map(({ report }) => report);
      const body = encodeReports(reports, this.#writer);
      const headers = only?.traceparent === undefined ? undefined : { ...only };
      const options =
        headers === undefined ? { timeoutMs: requestTimeoutMs } : { timeoutMs: requestTimeoutMs, headers };
      const msg = await link.request(subject(), body, options);
      this.#answer(batch, fromBinary(ReportResponseSchema, msg.data).results);
    } catch (error) {
      this.#options.logger.debug({ err: error, reports: batch.length }, "report not answered, sending it again");
      this.#retry(batch, 0);
    } finally {
      this.#inFlight -= 1;
      if (this.#queue.length > 0) this.#flush();
    }
  }

  #answer(batch: readonly Pending[], results: readonly ReportResult[]): void {
    for (const [at, pending] of batch.entries()) {
      const outcome = results[at]?.outcome;
      switch (outcome?.case) {
        case "accepted":
          tell(pending, {
            kind: "accepted",
            fence: outcome.value.fence,
            attempt: outcome.value.attempt,
            leaseToken: outcome.value.leaseToken,
          });
          break;
        case "dropped":
          tell(pending, { kind: "dropped", reason: outcome.value.reason });
          break;
        case "refused":
          tell(pending, { kind: "refused", reason: outcome.value.reason, message: outcome.value.message });
          break;
        case "unavailable":
          this.#retry([pending], msFromDuration(outcome.value.retryDelay) ?? 0);
          break;
        default:
          // An answer that cannot be read says nothing about the report.
          this.#retry([pending], 0);
      }
    }
  }

  #retry(batch: readonly Pending[], atLeastMs: number): void {
    const nowMs = this.#options.clock.monotonicMs();
    const alive = batch.filter((pending) => {
      const tooOld = this.#closed || nowMs - pending.sinceMs > this.#options.giveUpMs;
      if (tooOld) tell(pending, ABANDONED);
      return !tooOld;
    });
    if (alive.length === 0) return;
    let failures = 0;
    for (const pending of alive) failures = Math.max(failures, (pending.failures += 1));
    const backoffMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(failures - 1, 8));
    this.#repeatLater(alive, Math.max(atLeastMs, backoffMs) * (0.75 + Math.random() / 2));
  }

  #repeatLater(batch: Pending[], delayMs: number): void {
    const timer = setTimeout(() => {
      this.#waiting.delete(timer);
      const nowMs = this.#options.clock.monotonicMs();
      for (const pending of batch) {
        if (nowMs - pending.sinceMs > this.#options.giveUpMs) tell(pending, ABANDONED);
        else this.#queue.push(pending);
      }
      this.#schedule();
    }, delayMs);
    this.#waiting.set(timer, batch);
  }
}

// Whoever is told may fail, for instance in a logger of the user's: the others must be told all the same.
function tell(pending: Pending, answer: ReportAnswer): void {
  try {
    pending.onAnswer(answer);
  } catch (error) {
    void Promise.reject(error);
  }
}
