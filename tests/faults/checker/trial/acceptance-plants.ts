// Ways to break invariant 1: accepted tasks that are lost, and tasks that nobody asked for.
import type { Plant } from "./plant.ts";

/** Plants against invariant 1. */
export const ACCEPTANCE_PLANTS: readonly Plant[] = [
  {
    name: "all of an accepted task is gone",
    story: "unseen",
    breaks: [1, "accepted_lost"],
    tamper: ({ run, taskId }) => void run.log.tasks.delete(taskId),
  },
  {
    name: "the work item of an accepted task is gone, what followed stands",
    story: "canceledWaiting",
    breaks: [1, "accepted_lost", "stored_lost", "answer_never_true"],
    tamper: ({ log }) => log.dispatches.splice(0),
  },
  {
    name: "a task stands that nobody submitted",
    story: "unseen",
    breaks: [1, "never_submitted"],
    tamper: ({ entries, drop }) => drop(...entries("submit")),
  },
  {
    name: "a refused task stands",
    story: "unseen",
    breaks: [1, "refused_stored"],
    tamper: ({ entries }) => void (entries("submit")[0]!.answer = "refused"),
  },
  {
    name: "a task is stored with another policy",
    story: "unseen",
    breaks: [1, "altered"],
    tamper: ({ log }) => void (log.maximumAttempts = 7),
  },
  {
    name: "a stored output is gone",
    story: "streamed",
    breaks: [1, "stored_lost", "output_missing", "read_differs"],
    tamper: ({ log }) => void log.outputs.pop(),
  },
  {
    name: "a stored work item is gone",
    story: "retried",
    breaks: [1, "stored_lost", "illegal_change", "answer_never_true", "dispatch_chain_broken", "start_unfounded"],
    tamper: ({ log }) => void log.dispatches.splice(1, 1),
  },
  {
    name: "a stored event is gone",
    story: "retried",
    breaks: [1, "stored_lost", "answer_never_true", "chain_broken", "dispatch_unfounded"],
    tamper: ({ log }) => void log.events.splice(0, 1),
  },
  {
    name: "a client is told that its task does not exist",
    story: "unseen",
    breaks: [1, "forgotten"],
    tamper: ({ entries }) => void (entries("told")[0]!.state = "unknown_task"),
  },
];
