// Invariant 5: attempts stay within the policy, are not given up before it allows that, and what failed for good is a dead letter.
import type { LoggedTask } from "../final-log.ts";
import type { Evidence } from "./evidence.ts";
import { givenBack } from "./executions.ts";
import type { Exhibit, Finding } from "./violation.ts";

/** Judges one task by invariant 5. */
export function checkRetryPolicy(evidence: Evidence): Finding[] {
  const { logged } = evidence;
  if (logged === undefined || logged.maximumAttempts === 0) return [];
  return [...executed(evidence, logged), ...recorded(logged), ...endings(logged)];
}

function executed({ taskId, runs }: Evidence, logged: LoggedTask): Finding[] {
  const { maximumAttempts } = logged;
  const attempts = new Set(runs.map(({ attempt }) => attempt));
  const unspent = [...attempts].reduce((sum, attempt) => sum + givenBack(logged, attempt), 0);
  const found: Finding[] = [];
  if (runs.length > maximumAttempts + unspent) {
    const given = unspent === 0 ? "" : ` and ${unspent} were given back`;
    const text = `${taskId} was executed ${runs.length} times; ${maximumAttempts} attempts are allowed${given}`;
    found.push(finding("too_many_executions", text, ...runs.map(({ start }) => start)));
  }
  for (const { attempt, start } of runs) {
    if (attempt <= maximumAttempts) continue;
    found.push(
      finding(
        "attempt_above_policy",
        `attempt ${attempt} of ${taskId} was executed; ${maximumAttempts} are allowed`,
        start,
      ),
    );
  }
  return found;
}

function recorded({ taskId, maximumAttempts, dispatches, events }: LoggedTask): Finding[] {
  const found: Finding[] = [];
  const add = (attempt: number, how: string, exhibit: Exhibit): void => {
    if (attempt <= maximumAttempts) return;
    const text = `attempt ${attempt} of ${taskId} was ${how}; ${maximumAttempts} are allowed`;
    found.push(finding("attempt_above_policy", text, exhibit));
  };
  for (const dispatch of dispatches) add(dispatch.attempt, "dispatched", dispatch);
  for (const event of events) {
    add(event.attempt, "recorded", event);
    if (event.state === "backing_off") add(event.nextAttempt, "announced", event);
  }
  return found;
}

function endings({ taskId, maximumAttempts, nonRetryableReasons, events }: LoggedTask): Finding[] {
  const found: Finding[] = [];
  for (const event of events) {
    const { state, failure, endedAttempt } = event;
    const hopeless = failure !== undefined && (!failure.retryable || nonRetryableReasons.includes(failure.reason));
    const spent = endedAttempt >= maximumAttempts;
    if (state === "failed" && !spent && !hopeless) {
      const text = `${taskId} failed for good after attempt ${endedAttempt} of ${maximumAttempts}, though its failure may be retried`;
      found.push(finding("given_up_early", text, event));
    }
    if (state === "backing_off" && hopeless) {
      found.push(
        finding("kept_trying", `${taskId} waits for another attempt, though its failure must not be retried`, event),
      );
    }
    if (state === "completed" && failure !== undefined) {
      found.push(
        finding("not_a_dead_letter", `${taskId} failed (${failure.reason}), but is recorded as completed`, event),
      );
    }
  }
  return found;
}

function finding(rule: string, message: string, ...exhibits: readonly Exhibit[]): Finding {
  return { invariant: 5, rule, message, exhibits };
}
