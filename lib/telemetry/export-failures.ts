// Owns what becomes of exports that fail: a line now and then, never an exception, and never a process that does not end.
import { setTimeout as delay } from "node:timers/promises";
import type { Signal, SignalTarget } from "./signal-target.ts";

/** Longest time, in milliseconds, that flushing or closing may take: less than an orchestrator's patience leaves room for. */
export const CLOSE_LIMIT_MS: number = 3000;
// A collector that is down fails every batch; one line a minute says it without filling the log.
const REPORT_EVERY_MS = 60_000;

/** Takes one line. */
export type Report = (line: string) => void;

/** Writes lines to stderr. */
export const reportToStderr: Report = (line) => void process.stderr.write(`${line}\n`);

/** Where a signal goes, for people: an address without credentials, or `console`. */
export function shownTarget(target: Exclude<SignalTarget, { readonly kind: "none" }>): string {
  if (target.kind === "console") return "console";
  const address = new URL(target.url);
  return `${address.origin}${address.pathname}`;
}

/** What reports failing exports of `signal`, once a minute at most. */
export function failureReporter(signal: Signal, where: string, report: Report): (error: unknown) => void {
  let quietUntil = 0;
  return (error) => {
    const now = performance.now();
    if (now < quietUntil) return;
    quietUntil = now + REPORT_EVERY_MS;
    report(`${signal} could not be sent to ${where}: ${describe(error)}`);
  };
}

/** Waits for `work` for {@link CLOSE_LIMIT_MS} at most. Never throws: what fails is given to `onError`. */
export async function bounded(work: Promise<void>, onError: (error: unknown) => void): Promise<void> {
  const timer = new AbortController();
  const expired = delay(CLOSE_LIMIT_MS, "expired", { signal: timer.signal, ref: true }).catch(() => "stopped");
  try {
    const outcome = await Promise.race([work, expired]);
    if (outcome === "expired") onError(new Error(`no answer within ${CLOSE_LIMIT_MS} ms`));
  } catch (error) {
    onError(error);
  } finally {
    timer.abort();
  }
}

function describe(error: unknown): string {
  const first: unknown = Array.isArray(error) ? error[0] : error;
  if (!(first instanceof Error)) return String(first);
  if (first instanceof AggregateError && first.message === "") return describe(first.errors);
  return first.message.split("\n")[0] ?? first.name;
}
