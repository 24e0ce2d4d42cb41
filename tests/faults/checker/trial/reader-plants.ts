// Ways to break invariant 4: readers that miss something, or get it twice, wrong or in disorder.
import type { Plant } from "./plant.ts";

/** Plants against invariant 4. */
export const READER_PLANTS: readonly Plant[] = [
  {
    name: "a reader misses a chunk",
    story: "streamed",
    breaks: [4, "hole"],
    tamper: ({ messages, drop }) => drop(messages("streamed-r2")[2]!),
  },
  {
    name: "a reader misses the first state",
    story: "streamed",
    breaks: [4, "hole"],
    tamper: ({ messages, drop }) => drop(messages("streamed-r2")[0]!),
  },
  {
    name: "a reader gets a chunk twice",
    story: "streamed",
    breaks: [4, "repeated"],
    tamper: ({ run, messages }) => {
      const read = messages("streamed-r2")[2]!;
      run.history.splice(run.history.indexOf(read), 0, { ...read });
    },
  },
  {
    name: "a reader gets two chunks in the wrong order",
    story: "streamed",
    breaks: [4, "hole", "out_of_order"],
    tamper: ({ messages }) => {
      const [, second, third] = messages("streamed-r2");
      const { sequence, index } = second!;
      Object.assign(second!, { sequence: third!.sequence, index: third!.index });
      Object.assign(third!, { sequence, index });
    },
  },
  {
    name: "a reader gets something else than stands there, and than another reader",
    story: "streamed",
    breaks: [4, "read_differs", "readers_disagree"],
    tamper: ({ messages }) => void (messages("streamed-r2")[2]!.index! += 7),
  },
  {
    name: "a reader gets what does not stand anywhere",
    story: "streamed",
    breaks: [4, "read_differs"],
    tamper: ({ messages, run }) => {
      const last = messages("streamed-r2").findLast(({ kind }) => kind !== "end")!;
      const more = { ...last, kind: "chunk" as const, sequence: last.sequence + 1, index: 99 };
      delete more.state;
      run.history.splice(run.history.indexOf(last) + 1, 0, more);
    },
  },
  {
    name: "a reader is told the end before it has everything",
    story: "streamed",
    breaks: [4, "ended_early"],
    tamper: ({ messages, drop }) => drop(messages("streamed-r2").findLast(({ kind }) => kind === "state")!),
  },
  {
    name: "a reader that comes back is resumed further on",
    story: "streamed",
    breaks: [4, "resumed_elsewhere"],
    tamper: ({ entries, drop }) => {
      const all = entries("read").filter(({ reader }) => reader === "streamed-r1");
      drop(all[all.findIndex(({ connection }) => connection === 2) - 1]!);
    },
  },
  {
    name: "a chunk of the result is missing in the log",
    story: "streamed",
    breaks: [4, "output_missing", "read_differs"],
    tamper: ({ log }) => void log.outputs.splice(1, 1),
  },
  {
    name: "the handler streamed more than counts",
    story: "streamed",
    breaks: [4, "output_missing"],
    tamper: ({ entries }) => void (entries("end")[0]!.chunks! += 1),
  },
];
