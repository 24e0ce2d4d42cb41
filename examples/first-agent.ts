// An agent: it can count words, and streams what it finds on the way.
import { defineAgent, runAgent } from "mycel/agent";

const agent = defineAgent({
  name: "word-counter",
  concurrency: 8,
  capabilities: {
    "count-words": async (task, { output, progress }) => {
      const lines = String(task.input).split("\n");
      let words = 0;
      for (const [i, line] of lines.entries()) {
        words += line.split(/\s+/).filter(Boolean).length;
        await output({ line: i + 1, words });
        progress((i + 1) / lines.length);
      }
      return { words };
    },
  },
});
await runAgent(agent, { url: process.env["MYCEL_URL"] ?? "http://127.0.0.1:8080" });
