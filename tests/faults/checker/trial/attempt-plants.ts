// Ways to break invariant 3: somebody moves a task whose turn it is not.
import type { Plant } from "./plant.ts";

/** Plants against invariant 3. */
export const ATTEMPT_PLANTS: readonly Plant[] = [
  {
    name: "an event was written against another one than stood there",
    story: "retried",
    breaks: [3, "chain_broken"],
    tamper: ({ event }) => void (event(1).expected! -= 1),
  },
  {
    name: "an event was written without expectation",
    story: "retried",
    breaks: [3, "chain_broken"],
    tamper: ({ event }) => void (event(-1).expected = undefined),
  },
  {
    name: "two events follow on one",
    story: "fenced",
    breaks: [
      3,
      "chain_broken",
      "not_the_holder",
      "illegal_change",
      "output_missing",
      "read_differs",
      "fenced_output_read",
    ],
    tamper: ({ log, event }) => {
      const [first, second] = [event(0), event(1)];
      const back = { ...first, sequence: second.sequence + 1, expected: first.sequence, state: "backing_off" };
      log.events.splice(2, 0, { ...back, nextAttempt: 2, endedAttempt: 1, endedAgentId: "a1" });
      log.events[3]!.expected = back.sequence;
    },
  },
  {
    name: "a work item was written against another one than stood there",
    story: "retried",
    breaks: [3, "dispatch_chain_broken"],
    tamper: ({ log }) => void (log.dispatches[2]!.expected = 1),
  },
  {
    name: "one backoff leads to two work items",
    story: "retried",
    breaks: [3, "dispatch_unfounded", "not_the_holder"],
    tamper: ({ log, event }) => {
      const item = log.dispatches[1]!;
      const between = { ...item, sequence: event(1).sequence + 0.5, expected: item.sequence };
      log.dispatches.splice(2, 0, between);
      log.dispatches[3]!.expected = between.sequence;
      log.events.splice(1, 1);
      event(1).expected = event(0).sequence;
    },
  },
  {
    name: "the late report of a zombie is taken",
    story: "fenced",
    breaks: [3, "not_the_holder", "answer_differs", "output_missing", "read_differs", "fenced_output_read"],
    tamper: ({ event, log }) => {
      const { attempt, agentId } = event(0);
      const { sequence } = log.outputs[1]!;
      const execution = "fenced-x1";
      const own = { attempt, agentId, endedAttempt: attempt, endedAgentId: agentId, outputSequence: sequence };
      Object.assign(event(-1), { ...own, execution });
    },
  },
  {
    name: "an attempt that started unseen is taken with a stale fence",
    story: "retried",
    breaks: [3, "not_the_holder", "dispatch_unfounded"],
    tamper: ({ log, event }) => {
      log.events.splice(1, 1);
      event(1).expected = event(0).sequence;
      log.dispatches[1]!.fence = 0;
    },
  },
  {
    name: "an attempt starts unseen that had to ask first",
    story: "unseen",
    breaks: [3, "not_the_holder", "execution_not_allowed"],
    tamper: ({ log }) => void (log.dispatches[0]!.beginRequired = true),
  },
  {
    name: "a redelivery starts unseen",
    story: "unseen",
    breaks: [3, "not_the_holder"],
    tamper: ({ event }) => void (event(0).deliveries = 2),
  },
  {
    name: "an attempt ends unseen of a work item that is not the newest",
    story: "delayed",
    breaks: [3, "not_the_holder"],
    tamper: ({ log, event }) => void (event(0).dispatchSequence = log.dispatches[0]!.sequence),
  },
  {
    name: "an attempt starts under a number that it was not its turn for",
    story: "poisonous",
    breaks: [3, "start_unfounded", "execution_not_allowed", "altered", "answer_differs"],
    tamper: ({ log, event }) => {
      log.maximumAttempts = 5;
      log.dispatches[0]!.beginRequired = false;
      for (const at of [-2, -1]) event(at).attempt = 5;
      event(-1).endedAttempt = 5;
    },
  },
  {
    name: "an older delivery takes the lease from a newer one",
    story: "fenced",
    breaks: [3, "start_unfounded"],
    tamper: ({ event }) => void (event(1).deliveries = 1),
  },
  {
    name: "the result is of an execution that no handler wrote down",
    story: "unseen",
    breaks: [3, "result_without_execution"],
    tamper: ({ entries, drop }) => drop(...entries("start"), ...entries("end")),
  },
  {
    name: "the result is of an execution that failed",
    story: "unseen",
    breaks: [3, "result_without_execution"],
    tamper: ({ entries }) => void (entries("end")[0]!.result = "failed"),
  },
  {
    name: "the result is of an execution that did not end",
    story: "streamed",
    breaks: [3, "result_without_execution"],
    tamper: ({ entries, drop }) => drop(...entries("end")),
  },
  {
    name: "the result is of the zombie, as that of the attempt in force",
    story: "fenced",
    breaks: [3, "result_of_another", "answer_differs", "output_missing"],
    tamper: ({ event }) => void (event(-1).execution = "fenced-x1"),
  },
  {
    name: "a result that names nobody is of an attempt that no handler executed",
    story: "unseen",
    breaks: [3, "result_without_execution"],
    tamper: ({ event, entries }) => {
      event(-1).execution = undefined;
      entries("start")[0]!.agentId = "a9";
    },
  },
  {
    name: "a client is told of the completion before the handler ended",
    story: "unseen",
    breaks: [3, "result_before_end"],
    tamper: ({ entries }) => void (entries("end")[0]!.at = entries("told").at(-1)!.at + 1),
  },
  {
    name: "two executions run under one attempt",
    story: "fenced",
    breaks: [3, "attempt_shared"],
    tamper: ({ entries, add }) => add(entries("start")[0]!, { execution: "twin" }),
  },
  {
    name: "an attempt that was given back once runs three times",
    story: "givenBack",
    breaks: [3, "attempt_shared"],
    tamper: ({ entries, add }) => add(entries("start")[0]!, { execution: "third" }),
  },
  {
    name: "an agent executes an attempt that was never given to it",
    story: "retried",
    breaks: [3, "execution_not_allowed", "result_of_another"],
    tamper: ({ entries }) => void (entries("start").at(-1)!.agentId = "a9"),
  },
  {
    name: "a reader is given the chunk of a fenced attempt",
    story: "fenced",
    breaks: [3, "fenced_output_read"],
    tamper: ({ messages }) => {
      // Where the first chunk of the second attempt belongs.
      const read = messages("fenced-r1").find(({ attempt, index }) => attempt === 2 && index === 1)!;
      Object.assign(read, { attempt: 1, agentId: "a1", index: 3 });
    },
  },
  {
    name: "a chunk of another execution is among the results",
    story: "streamed",
    breaks: [3, "foreign_chunk"],
    tamper: ({ log }) => {
      const [item] = log.outputs[1]!.items;
      log.outputs[1]!.items = [{ ...item!, execution: "another" }];
    },
  },
];
