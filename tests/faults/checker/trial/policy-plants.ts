// Ways to break invariant 5, and to leave a task open for ever.
import type { Plant } from "./plant.ts";

/** Plants against invariant 5 and liveness. */
export const POLICY_PLANTS: readonly Plant[] = [
  {
    name: "a task is executed more often than its policy allows",
    story: "poisonous",
    breaks: [5, "too_many_executions", "attempt_shared"],
    tamper: ({ entries, add }) => add(entries("start")[0]!, { execution: "fourth" }),
  },
  {
    name: "an attempt above the policy starts",
    story: "poisonous",
    breaks: [5, "attempt_above_policy", "altered", "too_many_executions"],
    tamper: ({ log }) => void (log.maximumAttempts = 2),
  },
  {
    name: "a task fails for good though it may be tried again",
    story: "hopeless",
    breaks: [5, "given_up_early"],
    tamper: ({ event }) => void (event(-1).failure = { reason: "HANDLER_ERROR", retryable: true }),
  },
  {
    name: "a task is tried again though its failure forbids it",
    story: "retried",
    breaks: [5, "kept_trying"],
    tamper: ({ event }) => void (event(0).failure = { reason: "HANDLER_ERROR", retryable: false }),
  },
  {
    name: "a task is tried again though its policy forbids it for this reason",
    story: "retried",
    breaks: [5, "kept_trying"],
    tamper: ({ log }) => void (log.nonRetryableReasons = ["HANDLER_ERROR"]),
  },
  {
    name: "a task that failed for good is no dead letter",
    story: "unseen",
    breaks: [5, "not_a_dead_letter"],
    tamper: ({ event }) => void (event(-1).failure = { reason: "HANDLER_ERROR", retryable: false }),
  },
  {
    name: "an accepted task does not end",
    story: "givenBack",
    breaks: ["liveness", "not_ended", "ended_early", "read_differs", "answer_differs"],
    tamper: ({ log }) => void log.events.pop(),
  },
  {
    name: "a task whose submission was not answered does not end",
    story: "ambiguousFound",
    breaks: ["liveness", "not_ended"],
    tamper: ({ log }) => void log.events.pop(),
  },
];
