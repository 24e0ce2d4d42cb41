// The one order of a task's states and outputs that every reader must have seen, made from the log alone. Said again here, independently
// of the product's own order, which is what it judges.
import type { LoggedEvent, LoggedItem, LoggedOutput, LoggedTask } from "../final-log.ts";
import { endsTask } from "./states.ts";

/** What stands at one place of a task, counted from 1. */
export type Result =
  | { readonly kind: "state"; readonly event: LoggedEvent }
  | { readonly kind: "output"; readonly output: LoggedOutput; readonly item: LoggedItem };

/** The results of a task, and what of its outputs does not count. */
export interface ResultOrder {
  /** The result at place n is at n - 1. */
  readonly results: readonly Result[];
  /** For each event that ends an attempt: how many chunks of the attempt count, and whether an output before the last is missing. */
  readonly endings: ReadonlyMap<
    LoggedEvent,
    { readonly chunks: readonly LoggedItem[]; readonly hole: number | undefined }
  >;
  /** Outputs that no reader may have seen, because their attempt was over or fenced. */
  readonly dropped: readonly { readonly output: LoggedOutput; readonly item: LoggedItem }[];
}

/** Puts the results of a task into their order. */
export function orderResults({ events, outputs }: LoggedTask): ResultOrder {
  const results: Result[] = [];
  const endings = new Map<LoggedEvent, { readonly chunks: LoggedItem[]; readonly hole: number | undefined }>();
  const counted = new Set<LoggedItem>();
  const repeated = new Set<LoggedItem>();
  let reached = 0;
  let running: LoggedEvent | undefined;
  for (const event of [...events, undefined]) {
    const own =
      running === undefined ? [] : outputs.filter((output) => isOf(output, running) && output.sequence > reached);
    const last = lastThatCounts(running, event, own);
    const chunks: LoggedItem[] = [];
    let index = 0;
    let hole: number | undefined;
    for (const output of own) {
      if (output.sequence > last) break;
      reached = output.sequence;
      for (const item of output.items) {
        // What an agent repeats because it was not answered counts once.
        if (item.index <= index) {
          repeated.add(item);
          continue;
        }
        if (item.index > index + 1) hole ??= index + 1;
        index = item.index;
        counted.add(item);
        results.push({ kind: "output", output, item });
        if (item.kind === "chunk") chunks.push(item);
      }
    }
    if (event === undefined) break;
    if (event.endedAttempt > 0) endings.set(event, { chunks, hole });
    results.push({ kind: "state", event });
    if (endsTask(event.state)) break;
    running = event.state === "working" ? event : undefined;
  }
  const all = outputs.flatMap((output) => output.items.map((item) => ({ output, item })));
  return { results, endings, dropped: all.filter(({ item }) => !counted.has(item) && !repeated.has(item)) };
}

/** The sequence of the last output of an attempt that counts. */
function lastThatCounts(
  running: LoggedEvent | undefined,
  next: LoggedEvent | undefined,
  own: readonly LoggedOutput[],
): number {
  if (running === undefined) return 0;
  if (next !== undefined) {
    const ended = next.endedAttempt === running.attempt && next.endedAgentId === running.agentId;
    return ended ? next.outputSequence : 0;
  }
  // It still ran when the log was read: everything counts up to a fence.
  return own.find(({ fence }) => fence)?.sequence ?? Infinity;
}

function isOf({ agentId, attempt }: LoggedOutput, running: LoggedEvent | undefined): boolean {
  return agentId === running?.agentId && attempt === running.attempt;
}
