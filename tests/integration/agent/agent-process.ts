// An agent in a process of its own, for the signal tests: its handler runs until it is told to stop, and reports what it was told.
import { defineAgent, runAgent } from "../../../sdk/agent/index.ts";

const agent = defineAgent({
  name: "process",
  capabilities: {
    wait: (task, { signal }) =>
      new Promise((_resolve, reject) => {
        if (task.input !== "stubborn") signal.addEventListener("abort", () => reject(signal.reason));
        // A promise that nobody awaits: it must not end the process.
        void Promise.reject(new Error("forgotten"));
      }),
  },
});
const running = await runAgent(agent, {
  url: process.argv[2] ?? "",
  agentId: process.argv[4] ?? "p1",
  drainGraceMs: Number(process.argv[3]),
});
await running.done;
