// Invariant 3, as far as the log alone shows it: each event follows on the one that its writer knew, and comes from the attempt that held
// the task then. Attempts are either recorded by `working`, or start unseen from a work item of their own.
import type { LoggedDispatch, LoggedEvent, LoggedTask } from "../final-log.ts";
import { DELAYED, endsTask, inOrder, WITHDRAWN } from "./states.ts";
import type { Exhibit, Finding } from "./violation.ts";

/** Judges the log of one task by invariant 3. */
export function checkAttemptChain(task: LoggedTask): Finding[] {
  return [...dispatchChain(task), ...eventChain(task)];
}

function dispatchChain({ taskId, dispatches, events }: LoggedTask): Finding[] {
  const found: Finding[] = [];
  let before: LoggedDispatch | undefined;
  for (const dispatch of dispatches) {
    const { sequence, expected, queue } = dispatch;
    // The item that a withdrawn copy stands for is deleted, and lies between the two.
    const follows =
      queue === WITHDRAWN
        ? (expected ?? -1) >= (before?.sequence ?? 0) && (expected ?? sequence) < sequence && expected !== 0
        : expected === (before?.sequence ?? 0);
    if (!follows) {
      const text = `the dispatch ${sequence} of ${taskId} expected ${told(expected)} before it, but it is ${before?.sequence ?? 0}`;
      found.push(finding("dispatch_chain_broken", text, dispatch, before));
    } else if (queue !== WITHDRAWN && !isFounded(dispatch, before, events)) {
      const text = `the dispatch ${sequence} of ${taskId} is for attempt ${dispatch.attempt} after event ${dispatch.fence}, which asked for no such attempt`;
      found.push(finding("dispatch_unfounded", text, dispatch));
    }
    before = dispatch;
  }
  return found;
}

function isFounded(
  { attempt, fence, sequence }: LoggedDispatch,
  before: LoggedDispatch | undefined,
  events: readonly LoggedEvent[],
): boolean {
  if (before === undefined || before.queue === DELAYED) return attempt === 1 && fence === 0;
  const asked = events.find((event) => event.sequence === fence);
  return asked?.state === "backing_off" && asked.nextAttempt === attempt && fence > before.sequence && fence < sequence;
}

function eventChain({ taskId, dispatches, events }: LoggedTask): Finding[] {
  const found: Finding[] = [];
  let before: LoggedEvent | undefined;
  let offered: LoggedDispatch | undefined;
  for (const message of inOrder(dispatches, events)) {
    if (message.kind === "dispatch") {
      offered = message.logged;
      continue;
    }
    const event = message.logged;
    if (event.expected !== (before?.sequence ?? 0)) {
      const text = `the event ${event.sequence} of ${taskId} expected ${told(event.expected)} before it, but it is ${before?.sequence ?? 0}`;
      found.push(finding("chain_broken", text, event, before));
    }
    // What follows an end is wrong whoever wrote it, and invariant 2's.
    const wrong = before !== undefined && endsTask(before.state) ? undefined : fault(event, before, offered);
    if (wrong !== undefined) {
      const text = `the event ${event.sequence} of ${taskId} (${event.state}) ${wrong.why}`;
      found.push(finding(wrong.rule, text, event, before, offered));
    }
    before = event;
  }
  return found;
}

interface Fault {
  readonly rule: string;
  readonly why: string;
}

function fault(
  event: LoggedEvent,
  before: LoggedEvent | undefined,
  offered: LoggedDispatch | undefined,
): Fault | undefined {
  const ended = { attempt: event.endedAttempt, agentId: event.endedAgentId };
  if (before?.state === "working" && !same(ended, before)) {
    return { rule: "not_the_holder", why: `ends ${words(ended)}, but ${words(before)} held the task` };
  }
  if (event.state === "working") {
    if (ended.attempt > 0 && before?.state !== "working") {
      return { rule: "not_the_holder", why: `ends ${words(ended)}, but nobody held the task` };
    }
    return unfoundedStart(event, before, offered);
  }
  if (ended.attempt > 0 && !same(ended, event)) {
    return { rule: "not_the_holder", why: `is of ${words(event)}, but ends ${words(ended)}` };
  }
  if (before?.state === "working") return undefined;
  if (ended.attempt > 0) return unseen(event, ended.attempt, before, offered);
  // Only who asks for another attempt, or cannot get one, may end none.
  if (["completed", "failed", "backing_off"].includes(event.state)) {
    return { rule: "not_the_holder", why: "ends no attempt" };
  }
  return undefined;
}

/** An attempt that nobody recorded ends: only the first delivery of the newest work item may have started so. */
function unseen(
  event: LoggedEvent,
  attempt: number,
  before: LoggedEvent | undefined,
  offered: LoggedDispatch | undefined,
): Fault | undefined {
  const rule = "not_the_holder";
  const who = `ends attempt ${attempt}, which nobody recorded,`;
  if (event.state === "canceled" || event.state === "timed_out")
    return { rule, why: `${who} without asking its agent` };
  if (offered === undefined || offered.sequence <= (before?.sequence ?? 0)) {
    return { rule, why: `${who} though no work item was on offer` };
  }
  if (event.dispatchSequence !== offered.sequence) {
    return { rule, why: `${who} of the work item ${event.dispatchSequence}, but ${offered.sequence} is the newest` };
  }
  if (offered.fence !== (before?.sequence ?? 0)) {
    return { rule, why: `${who} with the fence ${offered.fence}, but the last event was ${before?.sequence ?? 0}` };
  }
  if (offered.attempt !== attempt)
    return { rule, why: `${who} though the work item is for attempt ${offered.attempt}` };
  if (event.deliveries > 1) return { rule, why: `${who} though its delivery ${event.deliveries} had to ask first` };
  if (offered.beginRequired) return { rule, why: `${who} though the work item had to be asked for first` };
  return undefined;
}

function unfoundedStart(
  event: LoggedEvent,
  before: LoggedEvent | undefined,
  offered: LoggedDispatch | undefined,
): Fault | undefined {
  const rule = "start_unfounded";
  if (offered === undefined || event.dispatchSequence !== offered.sequence) {
    return {
      rule,
      why: `starts the work item ${event.dispatchSequence}, but ${offered?.sequence ?? "none"} is the newest`,
    };
  }
  const known = before?.dispatchSequence === offered.sequence && offered.sequence < before.sequence;
  const allowed = known
    ? [before.state === "working" ? before.attempt + 1 : before.nextAttempt]
    : freshAttempts(offered);
  if (!allowed.includes(event.attempt)) {
    return { rule, why: `starts attempt ${event.attempt}, but it was the turn of ${allowed.join(" or ")}` };
  }
  if (known && before.state !== "working" && before.state !== "submitted") {
    return { rule, why: `starts a work item that was done with at ${before.sequence} (${before.state})` };
  }
  if (known && event.deliveries <= before.deliveries) {
    return { rule, why: `starts delivery ${event.deliveries}, though delivery ${before.deliveries} was heard of` };
  }
  return undefined;
}

/** As which attempt a work item may start of which nothing was recorded: an earlier delivery may have run unseen. */
function freshAttempts({ attempt, beginRequired }: LoggedDispatch): number[] {
  return beginRequired ? [attempt] : [attempt, attempt + 1];
}

interface Holder {
  readonly attempt: number;
  readonly agentId: string;
}

function same(a: Holder, b: Holder): boolean {
  return a.attempt === b.attempt && a.agentId === b.agentId;
}

function words({ attempt, agentId }: Holder): string {
  return attempt === 0 ? "nobody" : `attempt ${attempt} of ${agentId}`;
}

function told(expected: number | undefined): string {
  return expected === undefined ? "nothing in particular" : String(expected);
}

function finding(rule: string, message: string, ...exhibits: readonly (Exhibit | undefined)[]): Finding {
  return { invariant: 3, rule, message, exhibits: exhibits.filter((exhibit) => exhibit !== undefined) };
}
