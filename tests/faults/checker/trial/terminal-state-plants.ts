// Ways to break invariant 2: more than one end, and answers that contradict the log or one another.
import type { Plant } from "./plant.ts";

/** Plants against invariant 2. */
export const TERMINAL_STATE_PLANTS: readonly Plant[] = [
  {
    name: "a task ends twice",
    story: "unseen",
    breaks: [2, "ended_twice", "answer_differs"],
    tamper: ({ log, event, entries }) => {
      const { sequence } = event(-1);
      const failure = { reason: "HANDLER_ERROR", retryable: false };
      log.events.push({ ...event(-1), state: "failed", sequence: sequence + 1, expected: sequence, failure });
      entries("told")[1]!.state = "failed";
    },
  },
  {
    name: "a task goes on after its end",
    story: "unseen",
    breaks: [2, "moved_after_end"],
    tamper: ({ log, event }) => {
      const { sequence } = event(-1);
      log.events.push({ ...event(-1), state: "working", sequence: sequence + 1, expected: sequence });
    },
  },
  {
    name: "a task is worked on before its start time has come",
    story: "delayed",
    breaks: [2, "illegal_change"],
    tamper: ({ log }) => void (log.dispatches[1]!.queue = "_delayed"),
  },
  {
    name: "a client is told another end",
    story: "unseen",
    breaks: [2, "answer_differs"],
    tamper: ({ entries }) => void (entries("told").at(-1)!.state = "canceled"),
  },
  {
    name: "a client is told the end of another attempt",
    story: "retried",
    breaks: [2, "answer_differs"],
    tamper: ({ entries }) => void (entries("told").at(-1)!.attempt = 2),
  },
  {
    name: "a client is given another result",
    story: "unseen",
    breaks: [2, "answer_differs"],
    tamper: ({ entries }) => void (entries("told").at(-1)!.execution = "another"),
  },
  {
    name: "a client is told an end that was not stored",
    story: "unseen",
    breaks: [2, "answer_differs", "not_ended"],
    tamper: ({ log }) => void log.events.pop(),
  },
  {
    name: "a client that waits for the outcome is told that the task is at work",
    story: "fenced",
    breaks: [2, "outcome_not_terminal"],
    tamper: ({ entries }) => {
      const [working] = entries("told");
      working!.call = "outcome";
    },
  },
  {
    name: "a client is told a state that never was",
    story: "unseen",
    breaks: [2, "answer_never_true"],
    tamper: ({ entries }) => void Object.assign(entries("told")[0]!, { state: "working", attempt: 1, agentId: "a9" }),
  },
  {
    name: "a client is told that a task is at work after another was told its end",
    story: "fenced",
    breaks: [2, "unended_after_end"],
    tamper: ({ entries, add }) => {
      const [working, end] = entries("told");
      add(working!, { startedAt: end!.at + 1 });
    },
  },
  {
    name: "a client is told an older state than another was before",
    story: "retried",
    breaks: [2, "stale_answer"],
    tamper: ({ entries }) => {
      const [first, second] = entries("told");
      const { state } = first!;
      first!.state = second!.state;
      second!.state = state;
    },
  },
  {
    name: "a reader that comes back is shown an older state than it saw",
    story: "fenced",
    breaks: [2, "stale_answer"],
    tamper: ({ entries }) => {
      const snapshot = entries("read").findLast(({ kind }) => kind === "snapshot")!;
      Object.assign(snapshot, { state: "submitted", attempt: 0, agentId: "" });
    },
  },
];
